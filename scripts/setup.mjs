// Brings a fresh clone to the point where everything runs, with nothing but Node, npm and (for the fast kernels) a C++ compiler with cmake;
// on Linux clang-19 too, for software Metal.
// Every step is skipped when a stamp under .cache says that its inputs have not changed, so a warm call costs a few milliseconds.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { argv, env, execPath, exit, platform, stderr } from "node:process";
import { fileURLToPath } from "node:url";
import { missingTools } from "../native/softmetal/tool/toolchain.mjs";

export const root = fileURLToPath(new URL("..", import.meta.url));
const stamps = join(root, ".cache", "setup");

const skipped = /^(node_modules|dist|build|test|.*\.tsbuildinfo)$/;

/** Path, size and mtime of every file below `paths`, as one string. */
function fingerprint(paths, skip = skipped) {
  const lines = [process.version];
  const visit = (path) => {
    const stat = statSync(join(root, path), { throwIfNoEntry: false });
    if (stat === undefined) return;
    if (!stat.isDirectory()) lines.push(`${path} ${stat.size} ${stat.mtimeMs}`);
    else for (const name of readdirSync(join(root, path)).sort()) if (!skip.test(name)) visit(`${path}/${name}`);
  };
  for (const path of paths) visit(path);
  return lines.join("\n");
}

/** Runs `work` unless the stamp of this name has the same content and `made` exists; what cannot be done, or fails, is tried again next time. */
function step(name, inputs, made, work, possible = () => true) {
  const stamp = join(stamps, name);
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === inputs && made.every((path) => existsSync(join(root, path)))) return;
  if (!possible()) return;
  rmSync(stamp, { force: true });
  const start = performance.now();
  stderr.write(`setup: ${name} ...\n`);
  if (!work()) return;
  mkdirSync(stamps, { recursive: true });
  writeFileSync(stamp, inputs);
  stderr.write(`setup: ${name} took ${((performance.now() - start) / 1000).toFixed(1)} s\n`);
}

/** A command's exit status; its output goes to stderr so that stdout stays the program's own. */
function call(command, args, extra = {}) {
  const result = spawnSync(command, args, { cwd: root, stdio: ["ignore", 2, 2], env: { ...env, ...extra }, shell: platform === "win32" });
  if (result.error) throw result.error;
  return result.status;
}

function must(command, args, extra) {
  const status = call(command, args, extra);
  if (status === 0) return true;
  stderr.write(`setup: "${[command, ...args].join(" ")}" failed (exit code ${status})\n`);
  exit(1);
}

const found = (command) => spawnSync(command, ["--version"], { stdio: "ignore", shell: platform === "win32" }).status === 0;

const toolchain = () => found("cmake") && [env.CXX, "c++", "g++", "clang++", "cl"].some((name) => name !== undefined && found(name));

/** On Linux Metal is for tests only, and takes a compiler of its own. */
function metalToolchain() {
  const missing = platform === "linux" ? missingTools() : [];
  if (missing.length > 0)
    stderr.write(`setup: the Metal addon is left out: ${missing.join("; ")}. "npm run setup:softmetal" installs what it takes.\n`);
  return missing.length === 0 && toolchain();
}

/**
 * Installs dependencies, compiles TypeScript, builds the native kernels: whatever is not up to date.
 * `metal`: the addon for Metal too, where there is Metal or software Metal; default: on a Mac.
 */
export function setup({ metal = platform === "darwin" } = {}) {
  const packages = readdirSync(join(root, "packages")).map((name) => `packages/${name}`);
  const manifests = ["package.json", "pnpm-lock.yaml", "pnpm-workspace.yaml", ...packages.map((path) => `${path}/package.json`)];
  const contents = manifests.map((path) => readFileSync(join(root, path), "utf8")).join("\n");
  const { packageManager } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  step("install", contents, ["node_modules/.modules.yaml", "node_modules/.bin/rlxjs"], () =>
    must("npx", ["--yes", packageManager, "install", "--frozen-lockfile", "--prefer-offline"], { CI: "true" }),
  );
  const sources = fingerprint([
    "tsconfig.json",
    "tsconfig.base.json",
    ...packages.flatMap((path) => [`${path}/tsconfig.json`, `${path}/src`]),
  ]);
  step(
    "typescript",
    sources,
    packages.map((path) => `${path}/dist/index.js`),
    () => must(execPath, ["node_modules/typescript/bin/tsc", "-b"]),
  );
  // Without a compiler or cmake, or when the build fails, programs run on the references and say so themselves, once.
  const native = fingerprint(["native", "packages/backend-cpu/scripts", "scripts/native-build.mjs"], /^(test|metal|softmetal)$/);
  const addon = "packages/backend-cpu/build/Release/rlxjs_cpu.node";
  step("native", native, [addon], () => call(execPath, ["packages/backend-cpu/scripts/build-native.mjs"]) === 0, toolchain);
  if (!metal || (platform !== "darwin" && platform !== "linux")) return;
  const host = fingerprint([
    "native/addon",
    "native/metal",
    "native/program",
    "native/softmetal",
    "packages/backend-metal/scripts",
    "scripts/native-build.mjs",
  ]);
  const metalAddon = "packages/backend-metal/build/Release/rlxjs_metal.node";
  step("metal", host, [metalAddon], () => call(execPath, ["packages/backend-metal/scripts/build-native.mjs"]) === 0, metalToolchain);
}

if (argv[1] === fileURLToPath(import.meta.url)) setup({ metal: true });
