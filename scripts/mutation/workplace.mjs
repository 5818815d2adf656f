// Where samples run on mutated sources.
import { spawn } from "node:child_process";
import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import process, { env, execPath } from "node:process";
import { build } from "esbuild";
import { root } from "../setup.mjs";

const backend = join(root, "packages", "backend-metal");
export const folder = join(root, ".cache", "mutants");

/** The program that runs samples, with one source file replaced. */
export async function bundle(outfile, replaced) {
  const plugin = {
    name: "mutant",
    setup: (b) =>
      b.onLoad({ filter: /\.ts$/ }, ({ path }) => (path === replaced?.path ? { contents: replaced.source, loader: "ts" } : undefined)),
  };
  const options = { bundle: true, platform: "node", format: "esm", target: "node20", conditions: ["@rlxjs/source"], logLevel: "silent" };
  await build({ ...options, entryPoints: [join(backend, "test", "mutants.ts")], outfile, plugins: [plugin] });
}

/** What is under way ends with this process. @type {Set<import("node:child_process").ChildProcess>} */
const children = new Set();
for (const signal of ["SIGINT", "SIGTERM"])
  process.once(signal, () => {
    for (const child of children) child.kill("SIGTERM");
    process.exit(1);
  });

/** Nothing waits longer for a process that does not even use the processor. */
const mostMilliseconds = 900_000;

/**
 * A Node process' output, or how it ended when it printed nothing. It ends when it has used the processor for so many seconds: unlike time on the
 * clock, that does not depend on what else the machine does.
 */
function output(args, options, seconds) {
  return new Promise((resolve) => {
    const limited = ["-c", 'ulimit -t "$0" && exec "$@"', String(Math.ceil(seconds)), execPath, ...args];
    const child = spawn("bash", limited, { ...options, stdio: ["ignore", "pipe", "pipe"] });
    children.add(child);
    const said = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"])
      child[name].setEncoding("utf8").on("data", (text) => {
        said[name] += text;
      });
    const timer = setTimeout(() => child.kill("SIGKILL"), mostMilliseconds);
    child.on("close", (status, signal) => {
      clearTimeout(timer);
      children.delete(child);
      resolve({ status, text: said.stdout.trim() || `the process ended: ${signal ?? status} ${said.stderr.slice(-200)}` });
    });
  });
}

/** A cache of compiled kernels of its own, which forgets those of mutants. */
class KernelCache {
  constructor(path) {
    this.folder = join(path, "cache");
    // Software Metal starts its compiler by this path.
    const tool = join(path, "serve.mjs");
    const server = join(root, "native", "softmetal", "tool", "serve.mjs");
    writeFileSync(tool, `import { serve } from ${JSON.stringify(server)};\nserve(${JSON.stringify(this.folder)});\n`);
    this.env = { ...env, SOFTMETAL_TOOL: tool };
  }
  #kernels() {
    if (!existsSync(this.folder)) return [];
    return readdirSync(this.folder, { recursive: true, withFileTypes: true })
      .filter((e) => e.isFile())
      .map((e) => join(e.parentPath, e.name));
  }
  /** What is compiled from here on is a mutant's. */
  keep() {
    this.kept = new Set(this.#kernels());
  }
  clean() {
    for (const path of this.#kernels()) if (!this.kept?.has(path)) rmSync(path, { force: true });
  }
}

/** A folder as the package sees it: `dist` with the program, `shaders`, `build`. */
export class Workplace {
  constructor(name) {
    const path = join(folder, name);
    this.shaders = join(path, "shaders");
    this.program = join(path, "dist", "mutants.mjs");
    rmSync(this.shaders, { recursive: true, force: true });
    cpSync(join(root, "shaders"), this.shaders, { recursive: true });
    mkdirSync(join(path, "build", "Release"), { recursive: true });
    copyFileSync(join(backend, "build", "Release", "rlxjs_metal.node"), join(path, "build", "Release", "rlxjs_metal.node"));
    this.cache = new KernelCache(path);
  }

  /** What the program prints: "survived", or what is wrong. */
  async run(args, seconds) {
    return (await output([this.program, ...args], { env: this.cache.env }, seconds)).text;
  }
}

/** A copy of the packages in which their tests run. */
export class Checkout {
  constructor(name) {
    this.root = join(folder, name);
    rmSync(join(this.root, "packages"), { recursive: true, force: true });
    mkdirSync(this.root, { recursive: true });
    for (const file of ["tsconfig.base.json", "vitest.config.ts", "package.json"]) copyFileSync(join(root, file), join(this.root, file));
    for (const part of ["ir", "runtime", "backend-cpu", "backend-metal", "models-core"]) this.#copy(join("packages", part));
    for (const part of ["shaders", "native", "scripts"]) this.#copy(part);
    rmSync(join(this.root, "node_modules"), { force: true });
    symlinkSync(join(root, "node_modules"), join(this.root, "node_modules"));
    this.cache = new KernelCache(this.root);
  }

  #copy(part) {
    const filter = (path) => !/^(dist|.*\.tsbuildinfo|CMakeFiles|CMakeCache\.txt|build\.ninja|cmake_install\.cmake)$/.test(basename(path));
    cpSync(join(root, part), join(this.root, part), { recursive: true, verbatimSymlinks: true, filter });
  }

  /** Builds the Metal addon from the sources that are here: "survived", or what the compiler says. */
  async build() {
    const { status, text } = await output(
      ["packages/backend-metal/scripts/build-native.mjs"],
      { cwd: this.root, env: this.cache.env },
      600_000,
    );
    return status === 0 ? "survived" : `error: ${text.slice(-1000)}`;
  }

  /** "survived", or the first test that fails. */
  async test(files, seconds) {
    const report = join(this.root, "report.json");
    rmSync(report, { force: true });
    const args = ["run", ...files, "--bail=1", "--maxWorkers=1", "--testTimeout=0", "--reporter=json", `--outputFile=${report}`];
    const ended = await output(["node_modules/vitest/vitest.mjs", ...args], { cwd: this.root, env: this.cache.env }, seconds);
    if (!existsSync(report)) return ended.text;
    const { success, numPassedTests, testResults } = JSON.parse(readFileSync(report, "utf8"));
    if (success && numPassedTests > 0) return "survived";
    const failed = testResults.flatMap((r) => r.assertionResults).find((r) => r.status === "failed");
    return `test: ${failed?.fullName ?? testResults.map((r) => r.message).join(" ")}`;
  }
}
