// Mutation test of the Metal backend: changes one place of a shader, or of the TypeScript that binds and launches shaders, and expects a
// complaint: of the samples of the ops that use it (packages/backend-metal/test/mutants.ts, on software Metal), else of the tests that are about
// it. Results go to .cache/mutants/results.jsonl; what is there is not done again as long as the file has not changed.
//
//   node scripts/mutate-metal.mjs [--of shaders|bindings] [--minutes N] [--seed N] [--processes N] [FILE ...]
import { createHash } from "node:crypto";
import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { argv, exit, stderr, stdout } from "node:process";
import { parseArgs } from "node:util";
import { bindingMutants, shaderMutants, testsOf } from "./mutation/mutants.mjs";
import { bundle, Checkout, folder, Workplace } from "./mutation/workplace.mjs";
import { root } from "./setup.mjs";

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
const bindings = flags.of === "bindings";
const results = join(folder, "results.jsonl");
const hash = (...parts) => createHash("sha256").update(parts.join("\0")).digest("hex").slice(0, 16);
/** In an order that depends on the seed alone. */
const shuffled = (list) => [...list].sort((a, b) => (hash(flags.seed, a.id) < hash(flags.seed, b.id) ? -1 : 1));
const places = Array.from({ length: Number(flags.processes) }, (_, i) => ({
  samples: new Workplace(`${flags.of}-${i}`),
  tests: new Checkout(`${flags.of}-tests-${i}`),
}));
for (const { samples } of places) await bundle(samples.program);
const opsByFile = JSON.parse((await places[0]?.samples.run(["list"], 120_000)) ?? "{}");
const everything = (bindings ? bindingMutants : shaderMutants)(opsByFile)
  .filter(({ file }) => positionals.length === 0 || positionals.some((name) => file.includes(name)))
  .map((mutant) => ({ ...mutant, id: hash(mutant.file, mutant.whole, mutant.source) }));

/** Milliseconds that an op's samples, and a file's tests, take when nothing is changed, and nothing may be wrong then. */
const time = new Map();
async function baseline({ samples, tests }) {
  const measure = async (name, run) => {
    const start = performance.now();
    const said = await run;
    if (said !== "survived") throw new Error(`unchanged sources: ${name}: ${said}`);
    time.set(name, Math.max(time.get(name) ?? 0, performance.now() - start));
  };
  for (const op of new Set(everything.flatMap(({ ops }) => ops))) await measure(op, samples.run(["run", op], 600_000));
  samples.cache.keep();
  for (const file of new Set(everything.flatMap((mutant) => testsOf(mutant.file)))) await measure(file, tests.test([file], 600_000));
  tests.cache.keep();
}
/** What does not end by then does not end. Compiling a mutant takes some seconds. */
const patience = (names) => 10_000 + 4 * names.reduce((sum, name) => sum + time.get(name), 0);

/** What its samples, else its tests, say of a mutant. */
async function outcomeOf({ samples, tests }, { file, source, whole, ops }) {
  const quickest = [...ops].sort((a, b) => time.get(a) - time.get(b));
  const shader = join(samples.shaders, relative("shaders", file));
  if (bindings) await bundle(samples.program, { path: join(root, file), source });
  else writeFileSync(shader, source);
  const said = await samples.run(["run", ...quickest], patience(ops));
  if (!bindings) writeFileSync(shader, whole);
  samples.cache.clean();
  const files = testsOf(file);
  if (said !== "survived" || files.length === 0) return said;
  const path = join(tests.root, file);
  writeFileSync(path, source);
  const saidOfTests = await tests.test(files, patience(files));
  writeFileSync(path, whole);
  tests.cache.clean();
  return saidOfTests;
}

const known = new Map(
  (existsSync(results) ? readFileSync(results, "utf8").split("\n") : [])
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line))
    .map((record) => [record.id, record]),
);
const queue = shuffled(everything.filter(({ id, ops }) => !known.has(id) && ops.length > 0));
const end = performance.now() + Number(flags.minutes) * 60_000;
async function work(place) {
  await baseline(place);
  for (let mutant = queue.shift(); mutant && performance.now() < end; mutant = queue.shift()) {
    const said = await outcomeOf(place, mutant).catch((error) => `error: ${error.message}`);
    const { id, file, line, name, text } = mutant;
    // A mutant that does not compile is none.
    const outcome = said === "survived" ? "survived" : /\berror:/.test(said) && !said.startsWith("test:") ? "refused" : "killed";
    const record = { id, file, line, name, text, outcome, said: said.slice(0, 200) };
    known.set(id, record);
    appendFileSync(results, `${JSON.stringify(record)}\n`);
  }
}
await Promise.all(places.map(work)).catch((error) => {
  stderr.write(`mutate-metal: ${error.message}\n`);
  exit(1);
});

const done = everything.flatMap(({ id }) => known.get(id) ?? []);
const count = (outcome) => done.filter((record) => record.outcome === outcome).length;
const share = (100 * count("killed")) / Math.max(1, count("killed") + count("survived"));
const idle = everything.filter(({ ops }) => ops.length === 0).length;
stdout.write(
  `${everything.length} mutants, ${done.length} tried: ${count("refused")} do not compile, ${count("killed")} killed, ` +
    `${count("survived")} survived (${share.toFixed(1)} % killed); ${idle} that no sample executes\n`,
);
const survivors = done.filter(({ outcome }) => outcome === "survived").sort((a, b) => a.file.localeCompare(b.file) || a.line - b.line);
for (const { file, line, name, text } of survivors) stdout.write(`  ${file}:${line}: ${name}: ${text}\n`);
