// Where samples run on mutated sources.
import { spawn } from "node:child_process";
import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import process, { env, execPath } from "node:process";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";
import { root } from "../setup.mjs";

const backend = join(root, "packages", "backend-metal");
export const folder = join(root, ".cache", "mutants");

/** Puts a mutant in the place of its file while `work` runs. */
export async function replaced(path, { source, whole }, work) {
  writeFileSync(path, source);
  try {
    return await work();
  } finally {
    writeFileSync(path, whole);
  }
}

const bundle = (entry, outfile, plugin) =>
  build({
    ...{ bundle: true, platform: "node", format: "esm", target: "node20", conditions: ["@rlxjs/source"], logLevel: "silent" },
    ...{ entryPoints: [entry], outfile, plugins: plugin ? [plugin] : [] },
  });

/** The backend of a copy of its sources with one file replaced; the other packages are those of the process that imports it. */
const bundleBackend = (sources, outfile, { path, source }) =>
  bundle(join(sources, "backend.ts"), outfile, {
    name: "mutant",
    setup: (b) => {
      b.onLoad({ filter: /\.ts$/ }, (file) => (file.path === join(sources, path) ? { contents: source, loader: "ts" } : undefined));
      b.onResolve({ filter: /^@rlxjs\// }, ({ path: name }) => ({ path: name, namespace: "shared" }));
      const contents = (name) => `module.exports = globalThis.rlxjsShared[${JSON.stringify(name)}];`;
      b.onLoad({ filter: /.*/, namespace: "shared" }, ({ path: name }) => ({ contents: contents(name), loader: "js" }));
    },
  });

/** What is under way ends with this process. @type {Set<import("node:child_process").ChildProcess>} */
const children = new Set();
/** A process, with those that it started where it leads a group. */
function end(child, signal) {
  if (child.leads) process.kill(-child.pid, signal);
  else child.kill(signal);
}
for (const signal of ["SIGINT", "SIGTERM"])
  process.once(signal, () => {
    for (const child of children) end(child, "SIGTERM");
    process.exit(1);
  });

/** Nothing waits longer for a process that does not even use the processor. */
const mostMilliseconds = 900_000;

/**
 * A Node process' output, or how it ended when it printed nothing. It ends when it has used the processor for so many seconds: unlike time on the
 * clock, that does not depend on what else the machine does.
 */
function output(args, options, seconds, milliseconds = mostMilliseconds) {
  return new Promise((resolve) => {
    const limited = ["-c", 'ulimit -t "$0" && exec "$@"', String(Math.ceil(seconds)), execPath, ...args];
    const child = spawn("bash", limited, { ...options, detached: true, stdio: ["ignore", "pipe", "pipe"] });
    child.leads = true;
    children.add(child);
    const said = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"])
      child[name].setEncoding("utf8").on("data", (text) => {
        said[name] += text;
      });
    const timer = setTimeout(() => end(child, "SIGKILL"), milliseconds);
    child.on("close", (status, signal) => {
      clearTimeout(timer);
      children.delete(child);
      resolve({ status, text: said.stdout.trim() || `the process ended: ${signal ?? status} ${said.stderr.slice(-200)}` });
    });
  });
}

/** A cache of compiled kernels of its own, which forgets those of mutants. */
class KernelCache {
  /** @param {string} path @param {string} [optimize] clang's level */
  constructor(path, optimize) {
    this.folder = join(path, "cache");
    // Software Metal starts its compiler by this path.
    const tool = join(path, "serve.mjs");
    const server = join(root, "native", "softmetal", "tool", "serve.mjs");
    const start = `serve(${JSON.stringify(this.folder)}, ${JSON.stringify(optimize)});`;
    writeFileSync(tool, `import { serve } from ${JSON.stringify(server)};\n${start}\n`);
    this.env = { ...env, SOFTMETAL_TOOL: tool };
  }
  #kernels() {
    if (!existsSync(this.folder)) return [];
    return readdirSync(this.folder, { recursive: true, withFileTypes: true })
      .filter((e) => e.isFile())
      .map((e) => join(e.parentPath, e.name))
      .filter((path) => /\/(kernels|sources)\//.test(path));
  }
  /** What is compiled from here on is a mutant's. */
  keep() {
    this.kept = new Set(this.#kernels());
  }
  clean() {
    for (const path of this.#kernels()) if (!this.kept?.has(path)) rmSync(path, { force: true });
  }
}

const ticksPerSecond = 100;
/** Seconds of the processor that a process has used. */
function processorSeconds(pid) {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
      .replace(/^.*\) /, "")
      .split(" ");
    return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
  } catch {
    return 0;
  }
}

/** A folder as the package sees it: `dist` with the program that runs samples, `src`, `shaders`, `build`. */
export class Workplace {
  /** @param {string} name @param {string} [optimize] clang's level for kernels */
  constructor(name, optimize) {
    this.path = join(folder, name);
    this.sources = join(this.path, "src");
    for (const [from, to] of [
      [join(root, "shaders"), join(this.path, "shaders")],
      [join(backend, "src"), this.sources],
    ]) {
      rmSync(to, { recursive: true, force: true });
      cpSync(from, to, { recursive: true });
    }
    mkdirSync(join(this.path, "build", "Release"), { recursive: true });
    copyFileSync(join(backend, "build", "Release", "rlxjs_metal.node"), join(this.path, "build", "Release", "rlxjs_metal.node"));
    this.program = join(this.path, "dist", "mutants.mjs");
    this.cache = new KernelCache(this.path, optimize);
    this.requests = 0;
    this.mostIdleMilliseconds = mostMilliseconds;
  }
  prepare = () => bundle(join(backend, "test", "mutants.ts"), this.program);

  /** Which ops execute which file of shaders. */
  async list() {
    return JSON.parse((await output([this.program, "list"], { env: this.cache.env }, 120)).text);
  }

  #start() {
    const child = spawn(execPath, [this.program, "serve"], { env: this.cache.env, stdio: ["pipe", "pipe", "pipe"] });
    children.add(child);
    child.stdin.on("error", () => undefined);
    const worker = { child, answer: (_) => undefined, stderr: "" };
    child.stderr.setEncoding("utf8").on("data", (text) => {
      worker.stderr = (worker.stderr + text).slice(-200);
    });
    createInterface({ input: child.stdout }).on("line", (line) => worker.answer(JSON.parse(line)));
    child.on("close", (status, signal) => {
      children.delete(child);
      if (this.worker === worker) this.worker = undefined;
      worker.answer(`the process ended: ${signal ?? status} ${worker.stderr}`);
    });
    return worker;
  }

  /** "survived", or what is wrong. It ends when it has used the processor for so many seconds, or when nothing happens for long. */
  async ask(request, seconds) {
    // Each bundle and each library stays in a process.
    if (this.requests++ % 100 === 99) this.end();
    this.worker ??= this.#start();
    const { worker } = this;
    const { pid } = worker.child;
    const [cpu, clock] = [processorSeconds(pid), performance.now()];
    const last = { seconds: cpu, at: clock };
    const watch = setInterval(() => {
      const [used, now] = [processorSeconds(pid), performance.now()];
      if (used > last.seconds) Object.assign(last, { seconds: used, at: now });
      if (used - cpu > seconds || now - clock > mostMilliseconds || now - last.at > this.mostIdleMilliseconds) worker.child.kill("SIGKILL");
    }, 250);
    const said = await new Promise((answer) => {
      worker.answer = answer;
      worker.child.stdin.write(`${JSON.stringify(request)}\n`);
    });
    clearInterval(watch);
    return said;
  }
  /** The same of a backend with a changed source, whose path is that in `src`. */
  async askChanged(request, change, seconds) {
    const file = join(this.path, "dist", "backend.mjs");
    await bundleBackend(this.sources, file, change);
    return this.ask({ ...request, backend: `${pathToFileURL(file)}?${this.requests}` }, seconds);
  }
  end() {
    this.worker?.child.kill("SIGTERM");
    this.worker = undefined;
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
    const modules = join(this.root, "node_modules");
    rmSync(modules, { recursive: true, force: true });
    mkdirSync(modules);
    for (const name of readdirSync(join(root, "node_modules")))
      if (name !== "@rlxjs") symlinkSync(join(root, "node_modules", name), join(modules, name));
    // Its links lead to the packages that lie beside it.
    this.#copy(join("node_modules", "@rlxjs"));
    this.cache = new KernelCache(this.root);
  }

  #copy(part) {
    const filter = (path) => !/^(dist|.*\.tsbuildinfo|CMakeFiles|CMakeCache\.txt|build\.ninja|cmake_install\.cmake)$/.test(basename(path));
    cpSync(join(root, part), join(this.root, part), { recursive: true, verbatimSymlinks: true, filter });
  }

  /** "survived", or the first test that fails. */
  async test(files, seconds, { options = ["--testTimeout=0"], milliseconds = mostMilliseconds } = {}) {
    const report = join(this.root, "report.json");
    rmSync(report, { force: true });
    const args = ["run", ...files, "--bail=1", "--maxWorkers=1", ...options, "--reporter=json", `--outputFile=${report}`];
    const ended = await output(["node_modules/vitest/vitest.mjs", ...args], { cwd: this.root, env: this.cache.env }, seconds, milliseconds);
    if (!existsSync(report)) return ended.text;
    const { success, numPassedTests, testResults } = JSON.parse(readFileSync(report, "utf8"));
    // The report does not tell of a process that ended before its time.
    if (success && ended.status === 0 && numPassedTests > 0) return "survived";
    const failed = testResults.flatMap((r) => r.assertionResults).find((r) => r.status === "failed");
    return `test: ${failed?.fullName ?? testResults.map((r) => r.message).join(" ")}`;
  }
}
