// Mutation test of the Metal backend: changes one place of a shader, or of the TypeScript that binds and launches shaders, runs the samples of
// the ops that use it on software Metal (packages/backend-metal/test/mutants.ts), and expects a complaint. Results go to
// .cache/mutants/results.jsonl; what is there already is not done again as long as the file has not changed.
//
//   node scripts/mutate-metal.mjs [--of shaders|bindings] [--minutes N] [--seed N] [--processes N] [FILE ...]
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { appendFileSync, copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join, relative } from "node:path";
import { argv, env, execPath, exit, stderr, stdout } from "node:process";
import { parseArgs } from "node:util";
import { build } from "esbuild";
import { furtherMutations, mutantsOf, mutations } from "../native/softmetal/scripts/mutations.mjs";
import { root } from "./setup.mjs";

/** @type {import("../native/softmetal/scripts/mutations.mjs").Mutation[]} Of launches: order of bindings and arguments, access, grids, constants. */
const bindingMutations = [
  {
    name: "bindings exchanged",
    pattern: /\b((?:read|write|readWrite)\([^()]*\)), ((?:read|write|readWrite)\([^()]*\))/g,
    replacement: "$2, $1",
  },
  { name: "arguments exchanged", pattern: /\b(u?(?:int|long)\([^()]*\)), (u?(?:int|long)\([^()]*\))/g, replacement: "$2, $1" },
  { name: "write to read", pattern: /\bwrite\(/g, replacement: "read(" },
  { name: "readWrite to read", pattern: /\breadWrite\(/g, replacement: "read(" },
  { name: "readWrite to write", pattern: /\breadWrite\(/g, replacement: "write(" },
  { name: "ceilDiv to div", pattern: /\bceilDiv\(/g, replacement: "div(" },
  { name: "div to ceilDiv", pattern: /\bdiv\(/g, replacement: "ceilDiv(" },
  { name: "mul to add", pattern: /\bmul\(/g, replacement: "add(" },
  { name: "add to mul", pattern: /\badd\(/g, replacement: "mul(" },
  { name: "sub to add", pattern: /\bsub\(/g, replacement: "add(" },
  { name: "min to max", pattern: /\bmin\(/g, replacement: "max(" },
  { name: "max to min", pattern: /\bmax\(/g, replacement: "min(" },
  { name: "true to false", pattern: /\btrue\b/g, replacement: "false" },
  { name: "false to true", pattern: /\bfalse\b/g, replacement: "true" },
  { name: "0 to 1", pattern: /\b0\b/g, replacement: "1" },
  { name: "1 to 2", pattern: /\b1\b/g, replacement: "2" },
  { name: "=== to !==", pattern: / === /g, replacement: " !== " },
  { name: "&& to ||", pattern: / && /g, replacement: " || " },
];

const { values: flags, positionals } = parseArgs({
  args: argv.slice(2),
  allowPositionals: true,
  options: {
    of: { type: "string", default: "shaders" },
    minutes: { type: "string", default: "60" },
    seed: { type: "string", default: "1" },
    processes: { type: "string", default: "2" },
  },
});
const folder = join(root, ".cache", "mutants");
const backend = join(root, "packages", "backend-metal");
const results = join(folder, "results.jsonl");
const hash = (...parts) => createHash("sha256").update(parts.join("\0")).digest("hex").slice(0, 16);

/** The program that runs samples, with one source file replaced. */
async function bundle(outfile, replaced) {
  const plugin = {
    name: "mutant",
    setup: (b) =>
      b.onLoad({ filter: /\.ts$/ }, ({ path }) => (path === replaced?.path ? { contents: replaced.source, loader: "ts" } : undefined)),
  };
  const options = { bundle: true, platform: "node", format: "esm", target: "node20", conditions: ["@rlxjs/source"], logLevel: "silent" };
  await build({ ...options, entryPoints: [join(backend, "test", "mutants.ts")], outfile, plugins: [plugin] });
}

/** A folder as the package sees it: `dist`, `shaders`, `build`, and a cache of compiled kernels of its own. */
class Workplace {
  constructor(name) {
    this.folder = join(folder, name);
    this.shaders = join(this.folder, "shaders");
    this.cache = join(this.folder, "cache");
    rmSync(this.shaders, { recursive: true, force: true });
    cpSync(join(root, "shaders"), this.shaders, { recursive: true });
    mkdirSync(join(this.folder, "build", "Release"), { recursive: true });
    copyFileSync(join(backend, "build", "Release", "rlxjs_metal.node"), join(this.folder, "build", "Release", "rlxjs_metal.node"));
    // Software Metal starts its compiler by this path.
    this.tool = join(this.folder, "serve.mjs");
    const server = join(root, "native", "softmetal", "tool", "serve.mjs");
    writeFileSync(this.tool, `import { serve } from ${JSON.stringify(server)};\nserve(${JSON.stringify(this.cache)});\n`);
    this.program = join(this.folder, "dist", "mutants.mjs");
  }

  /** What the program prints, or that it took too long. */
  run(args, milliseconds) {
    return new Promise((resolve) => {
      const child = spawn(execPath, [this.program, ...args], {
        env: { ...env, SOFTMETAL_TOOL: this.tool },
        stdio: ["ignore", "pipe", "pipe"],
      });
      const output = { stdout: "", stderr: "" };
      for (const name of ["stdout", "stderr"])
        child[name].setEncoding("utf8").on("data", (text) => {
          output[name] += text;
        });
      const timer = setTimeout(() => child.kill("SIGKILL"), milliseconds);
      child.on("close", (status, signal) => {
        clearTimeout(timer);
        const ended = signal === "SIGKILL" ? "takes too long" : `the process ended: ${signal ?? status} ${output.stderr.slice(-200)}`;
        resolve(output.stdout.trim() || ended);
      });
    });
  }

  #kernels() {
    if (!existsSync(this.cache)) return [];
    return readdirSync(this.cache, { recursive: true, withFileTypes: true })
      .filter((e) => e.isFile())
      .map((e) => join(e.parentPath, e.name));
  }
  /** What is compiled from here on is a mutant's. */
  keep() {
    this.kept = new Set(this.#kernels());
  }
  /** Kernels of mutants are used once. */
  clean() {
    for (const path of this.#kernels()) if (!this.kept?.has(path)) rmSync(path, { force: true });
  }
}

/** Files that contain a text's `#include "..."` or `from "./..."`, with those that contain them in turn. */
function usersOf(texts, file, mentions) {
  const users = new Set([file]);
  for (let before = 0; before !== users.size; ) {
    before = users.size;
    for (const [name, text] of texts) if ([...users].some((used) => mentions(text, used))) users.add(name);
  }
  return [...users];
}

const textsIn = (path, pattern) =>
  new Map(
    readdirSync(path, { recursive: true })
      .filter((name) => pattern.test(name))
      .map((name) => [name, readFileSync(join(path, name), "utf8")]),
  );

/** Mutants of all shaders, each with the ops whose samples execute it. */
function shaderMutants(opsByFile) {
  const texts = textsIn(join(root, "shaders"), /\.(metal|h)$/);
  return [...texts].flatMap(([file, text]) => {
    const users = usersOf(texts, file, (other, used) => other.includes(`#include "${used}"`));
    const ops = [...new Set(users.flatMap((user) => opsByFile[user.replace(/\.metal$/, "")] ?? []))];
    return mutantsOf(text, [...mutations, ...furtherMutations]).map((mutant) => ({ ...mutant, file: `shaders/${file}`, ops, whole: text }));
  });
}

/** Mutants of what makes launches. A file's ops are those that it, or a file that uses it, names. */
function bindingMutants(opsByFile) {
  const texts = textsIn(join(backend, "src"), /^(kernels|msl)\/.*\.ts$|^expr\.ts$/);
  const all = new Set(Object.values(opsByFile).flat());
  const generated = ["add", "where", "cast", "gelu", "clamp", "region", "with_epilogue"];
  return [...texts].flatMap(([file, text]) => {
    const users = usersOf(texts, file, (other, used) => new RegExp(`from "[./a-z]*/${basename(used).replace(".", "\\.")}"`).test(other));
    const named = users
      .filter((u) => u !== "kernels/index.ts")
      .flatMap((u) => [...(texts.get(u) ?? "").matchAll(/"([a-z_0-9]+)"/g)].map(([, op]) => op));
    const ops = [...new Set(named.filter((op) => all.has(op)))];
    const chosen = users.includes("kernels/elementwise.ts") || ops.length === 0 ? [...new Set([...generated, ...ops])] : ops;
    return mutantsOf(text, bindingMutations)
      .filter(({ text: line }) => !/^(import|export (type|interface)|\*|readonly )/.test(line))
      .map((mutant) => ({ ...mutant, file: `packages/backend-metal/src/${file}`, ops: chosen, whole: text }));
  });
}

/** In an order that depends on the seed alone. */
const shuffled = (list, seed) => [...list].sort((a, b) => (hash(seed, a.id) < hash(seed, b.id) ? -1 : 1));

const workplaces = Array.from({ length: Number(flags.processes) }, (_, i) => new Workplace(`${flags.of}-${i}`));
for (const { program } of workplaces) await bundle(program);
const [first] = workplaces;
const opsByFile = JSON.parse(await first.run(["list"], 120_000));
const everything = (flags.of === "bindings" ? bindingMutants : shaderMutants)(opsByFile)
  .filter(({ file }) => positionals.length === 0 || positionals.some((name) => file.includes(name)))
  .map((mutant) => ({ ...mutant, id: hash(mutant.file, mutant.whole, mutant.source) }));

// Without a change nothing may be wrong, and it tells how long an op takes.
const wanted = [...new Set(everything.flatMap(({ ops }) => ops))];
const time = new Map();
const baseline = async (workplace) => {
  for (const op of wanted) {
    const start = performance.now();
    const said = await workplace.run(["run", op], 600_000);
    if (said !== "survived") throw new Error(`unchanged sources: ${op}: ${said}`);
    time.set(op, Math.max(time.get(op) ?? 0, performance.now() - start));
  }
  workplace.keep();
};
await Promise.all(workplaces.map(baseline)).catch((error) => {
  stderr.write(`mutate-metal: ${error.message}\n`);
  exit(1);
});

const known = new Map(
  existsSync(results)
    ? readFileSync(results, "utf8")
        .split("\n")
        .filter(Boolean)
        .map((line) => [JSON.parse(line).id, JSON.parse(line)])
    : [],
);
const queue = shuffled(
  everything.filter(({ id, ops }) => !known.has(id) && ops.length > 0),
  flags.seed,
);
const end = performance.now() + Number(flags.minutes) * 60_000;

/** Puts one mutant in place and takes it away again. */
async function outcomeOf(workplace, { file, source, whole, ops }) {
  const sorted = [...ops].sort((a, b) => time.get(a) - time.get(b));
  const patience = 15_000 + 8 * ops.reduce((sum, op) => sum + time.get(op), 0);
  if (flags.of === "bindings") {
    try {
      await bundle(workplace.program, { path: join(root, file), source });
    } catch {
      return "does not compile";
    }
    return workplace.run(["run", ...sorted], patience);
  }
  const path = join(workplace.shaders, relative("shaders", file));
  writeFileSync(path, source);
  const said = await workplace.run(["run", ...sorted], patience);
  writeFileSync(path, whole);
  workplace.clean();
  return said;
}

await Promise.all(
  workplaces.map(async (workplace) => {
    for (let mutant = queue.shift(); mutant && performance.now() < end; mutant = queue.shift()) {
      const said = await outcomeOf(workplace, mutant);
      const { id, file, line, name, text } = mutant;
      const outcome = said === "survived" ? "survived" : /\berror:|does not compile/.test(said) ? "refused" : "killed";
      const record = { id, of: flags.of, file, line, name, text, outcome, said: said.slice(0, 200) };
      known.set(id, record);
      appendFileSync(results, `${JSON.stringify(record)}\n`);
    }
  }),
);

const done = everything.flatMap(({ id }) => known.get(id) ?? []);
const count = (outcome) => done.filter((record) => record.outcome === outcome).length;
const judged = count("killed") + count("survived");
stdout.write(
  `${everything.length} mutants, ${done.length} done: ${count("refused")} refused by the compiler, ${count("killed")} killed, ${count("survived")} survived` +
    ` (${((100 * count("killed")) / Math.max(1, judged)).toFixed(1)} %); ${everything.filter(({ ops }) => ops.length === 0).length} that no sample executes\n`,
);
for (const { file, line, name, text } of done
  .filter(({ outcome }) => outcome === "survived")
  .sort((a, b) => a.file.localeCompare(b.file) || a.line - b.line))
  stdout.write(`  ${file}:${line}: ${name}: ${text}\n`);
