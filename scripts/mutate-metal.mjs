// Mutation test of the Metal backend: changes one place of a shader, of the TypeScript that binds and launches shaders, or of the native host, and
// expects a complaint: of the samples of the ops that use it (packages/backend-metal/test/mutants.ts, on software Metal), else of the tests that
// are about it. Results go to .cache/mutants/results.jsonl; what is there is not done again as long as the file has not changed.
//
//   node scripts/mutate-metal.mjs [--of shaders|bindings|host] [--minutes N] [--seed N] [--processes N] [--quick] [FILE ...]
// `--quick`: samples only; what they do not kill is listed, and tried again without it.
import { createHash } from "node:crypto";
import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { argv, exit, stderr, stdout } from "node:process";
import { parseArgs } from "node:util";
import { bindingMutants, hostMutants, shaderMutants } from "./mutation/mutants.mjs";
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
    quick: { type: "boolean", default: false },
  },
});
const kinds = { shaders: shaderMutants, bindings: bindingMutants, host: hostMutants };
const mutantsOfKind = kinds[flags.of];
if (mutantsOfKind === undefined) throw new Error(`--of: expected one of ${Object.keys(kinds).join(", ")}, got ${flags.of}`);
const results = join(folder, "results.jsonl");
const hash = (...parts) => createHash("sha256").update(parts.join("\0")).digest("hex").slice(0, 16);
/** In an order that depends on the seed alone. */
const shuffled = (list) => [...list].sort((a, b) => (hash(flags.seed, a.id) < hash(flags.seed, b.id) ? -1 : 1));
const places = Array.from({ length: Number(flags.processes) }, (_, i) => ({
  samples: new Workplace(`${flags.of}-${i}`),
  tests: new Checkout(`${flags.of}-tests-${i}`),
}));
for (const { samples } of places) await bundle(samples.program);
const opsByFile = JSON.parse((await places[0]?.samples.run(["list"], 120)) ?? "{}");
const everything = mutantsOfKind(opsByFile)
  .map((mutant) => (flags.quick ? { ...mutant, tests: [] } : mutant))
  .filter(({ file }) => positionals.length === 0 || positionals.some((name) => file.includes(name)))
  .map((mutant) => ({ ...mutant, id: hash(mutant.file, mutant.whole, mutant.source) }));

/** Seconds that an op's samples, and a file's tests, take when nothing is changed, and nothing may be wrong then. */
const time = new Map();
async function baseline({ samples, tests }) {
  const measure = async (name, run) => {
    const start = performance.now();
    const said = await run;
    if (said !== "survived") throw new Error(`unchanged sources: ${name}: ${said}`);
    time.set(name, Math.max(time.get(name) ?? 0, (performance.now() - start) / 1000));
  };
  for (const op of new Set(everything.flatMap(({ ops }) => ops))) await measure(op, samples.run(["run", op], 600));
  samples.cache.keep();
  if (flags.of === "host") await measure("build", tests.build());
  for (const file of new Set(everything.flatMap((mutant) => mutant.tests))) await measure(file, tests.test([file], 600));
  tests.cache.keep();
}
/** Seconds of the processor: what does not end by then does not end. */
const patience = (names) => 10 + 3 * names.reduce((sum, name) => sum + time.get(name), 0);

/** Puts a mutant in the place of its file while `work` runs. */
async function replaced(path, { source, whole }, work) {
  writeFileSync(path, source);
  try {
    return await work();
  } finally {
    writeFileSync(path, whole);
  }
}

/** What its samples, else its tests, say of a mutant. */
async function outcomeOf(place, mutant) {
  const said = mutant.ops.length > 0 ? await saidBySamples(place.samples, mutant) : "survived";
  return said === "survived" && mutant.tests.length > 0 ? saidByTests(place.tests, mutant) : said;
}

async function saidBySamples(samples, mutant) {
  const quickest = [...mutant.ops].sort((a, b) => time.get(a) - time.get(b));
  const run = () => samples.run(["run", ...quickest], patience(quickest));
  if (flags.of === "shaders")
    return replaced(join(samples.shaders, relative("shaders", mutant.file)), mutant, run).finally(() => samples.cache.clean());
  await bundle(samples.program, { path: join(root, mutant.file), source: mutant.source });
  return run();
}

const saidByTests = (tests, mutant) =>
  replaced(join(tests.root, mutant.file), mutant, async () => {
    const built = flags.of === "host" ? await tests.build() : "survived";
    return built === "survived" ? tests.test(mutant.tests, patience(mutant.tests)) : built;
  }).finally(() => tests.cache.clean());

const known = new Map(
  (existsSync(results) ? readFileSync(results, "utf8").split("\n") : [])
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line))
    .map((record) => [record.id, record]),
);
const queue = shuffled(everything.filter(({ id, ops, tests }) => !known.has(id) && ops.length + tests.length > 0));
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
    if (!flags.quick || outcome !== "survived") appendFileSync(results, `${JSON.stringify(record)}\n`);
  }
}
await Promise.all(places.map(work)).catch((error) => {
  stderr.write(`mutate-metal: ${error.message}\n`);
  exit(1);
});

const done = everything.flatMap(({ id }) => known.get(id) ?? []);
const count = (outcome) => done.filter((record) => record.outcome === outcome).length;
const share = (100 * count("killed")) / Math.max(1, count("killed") + count("survived"));
const idle = everything.filter(({ ops, tests }) => ops.length + tests.length === 0).length;
stdout.write(
  `${everything.length} mutants, ${done.length} tried: ${count("refused")} do not compile, ${count("killed")} killed, ` +
    `${count("survived")} survived (${share.toFixed(1)} % killed); ${idle} that nothing executes\n`,
);
const survivors = done.filter(({ outcome }) => outcome === "survived").sort((a, b) => a.file.localeCompare(b.file) || a.line - b.line);
for (const { file, line, name, text } of survivors) stdout.write(`  ${file}:${line}: ${name}: ${text}\n`);
