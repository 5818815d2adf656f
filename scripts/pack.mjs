// `node scripts/pack.mjs [FOLDER]`: every package as it is published, and the prebuilt one of this system, as tarballs in FOLDER (default:
// .cache/packages). Their names are printed, one per line. Everything has to be built (`npm run setup`).
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import process, { argv, platform, stderr } from "node:process";
import { optionalDependencies, packageNative, version } from "./package-native.mjs";
import { root } from "./setup.mjs";

/** Packages that load an addon of the platform's package. */
const loaders = ["backend-cpu", "backend-metal"];
/** Shaders are compiled where they run: their sources are a part of the package. */
const additions = { "backend-metal": ["shaders"] };

/** A package's package.json as others see it. */
function published(name, { devDependencies: _, scripts: __, dependencies = {}, files, ...manifest }) {
  const exact = Object.entries(dependencies).map(([other, range]) => [other, range.startsWith("workspace:") ? version : range]);
  return {
    ...manifest,
    files: [...files, ...(additions[name] ?? [])],
    dependencies: Object.fromEntries(exact),
    ...(loaders.includes(name) ? { optionalDependencies } : {}),
  };
}

/** A copy of what a package publishes, in a folder of its own. */
function stage(name, folder) {
  const from = join(root, "packages", name);
  const manifest = published(name, JSON.parse(readFileSync(join(from, "package.json"), "utf8")));
  mkdirSync(folder, { recursive: true });
  for (const file of manifest.files) {
    const source = [join(from, file), join(root, file)].find(existsSync);
    if (source === undefined) throw new Error(`packages/${name}/${file}: expected it to be built; \`npm run setup\` does`);
    cpSync(source, join(folder, file), { recursive: true });
  }
  cpSync(join(root, "LICENSE"), join(folder, "LICENSE"));
  writeFileSync(join(folder, "package.json"), `${JSON.stringify(manifest, undefined, 2)}\n`);
  return folder;
}

const out = resolve(argv[2] ?? join(root, ".cache", "packages"));
const staging = join(out, "staging");
try {
  mkdirSync(out, { recursive: true });
  const folders = [...readdirSync(join(root, "packages")).map((name) => stage(name, join(staging, name))), packageNative(staging)];
  const args = ["pack", ...folders, "--pack-destination", out, "--loglevel=error"];
  const { status, error } = spawnSync("npm", args, { stdio: ["ignore", "inherit", "inherit"], shell: platform === "win32" });
  if (error) throw error;
  if (status !== 0) throw new Error(`npm pack ended with ${status}`);
} catch (error) {
  stderr.write(`pack: ${error.message}\n`);
  process.exitCode = 1; // not at once: the staging folder goes first
} finally {
  rmSync(staging, { recursive: true, force: true });
}
