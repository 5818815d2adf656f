// `node scripts/package-native.mjs [FOLDER]`: the prebuilt package of this system (`@rlxjs/native-linux-x64`), made of the addons that are built
// here: its files in FOLDER (default: .cache/packages), ready for `npm pack`. The packages that load the addons name it as an optional
// dependency, so that package managers install the one whose `os` and `cpu` fit, and nothing is compiled or run while installing.
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { arch, argv, exit, platform, stderr, stdout } from "node:process";
import { fileURLToPath } from "node:url";
import { root } from "./setup.mjs";

/** The systems that packages are made for. Software Metal is for tests and is in none of them. */
const platforms = {
  "darwin-arm64": {
    os: "darwin",
    cpu: "arm64",
    addons: ["backend-cpu/build/Release/rlxjs_cpu.node", "backend-metal/build/Release/rlxjs_metal.node"],
  },
  "linux-x64": { os: "linux", cpu: "x64", libc: "glibc", addons: ["backend-cpu/build/Release/rlxjs_cpu.node"] },
  "linux-arm64": { os: "linux", cpu: "arm64", libc: "glibc", addons: ["backend-cpu/build/Release/rlxjs_cpu.node"] },
};

const packageName = (target) => `@rlxjs/native-${target}`;

/** The version of all packages, which they require of each other exactly. */
export const { version } = JSON.parse(readFileSync(join(root, "packages/ir/package.json"), "utf8"));

/** What a package that loads an addon has in its package.json when it is published. */
export const optionalDependencies = Object.fromEntries(Object.keys(platforms).map((target) => [packageName(target), version]));

/** The files of this system's package in a folder of `out`; returns that folder. */
export function packageNative(out) {
  const target = `${platform}-${arch}`;
  const made = platforms[target];
  if (made === undefined) throw new Error(`expected one of ${Object.keys(platforms).join(", ")}, got ${target}`);
  const { addons, os, cpu, libc } = made;
  const missing = addons.map((path) => join(root, "packages", path)).filter((path) => !existsSync(path));
  if (missing.length > 0)
    throw new Error(
      `${missing.map((path) => relative(root, path)).join(", ")}: not built; \`npm run build:native\` and \`npm run build:metal\` do`,
    );
  const folder = join(out, `native-${target}`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const manifest = {
    name: packageName(target),
    version,
    description: `Native kernels of rlxjs for ${target}.`,
    license: "MIT",
    os: [os],
    cpu: [cpu],
    ...(libc === undefined ? {} : { libc: [libc] }),
    files: ["*.node"],
  };
  writeFileSync(join(folder, "package.json"), `${JSON.stringify(manifest, undefined, 2)}\n`);
  copyFileSync(join(root, "LICENSE"), join(folder, "LICENSE"));
  for (const path of addons) copyFileSync(join(root, "packages", path), join(folder, path.slice(path.lastIndexOf("/") + 1)));
  return folder;
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  try {
    stdout.write(`${packageNative(resolve(argv[2] ?? join(root, ".cache", "packages")))}\n`);
  } catch (error) {
    stderr.write(`package-native: ${error.message}\n`);
    exit(1);
  }
}
