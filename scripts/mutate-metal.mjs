// Mutation test of the Metal backend: changes one place of a shader, of the TypeScript that binds and launches shaders, or of the native host, and
// expects a complaint: of the samples of the ops that use it (packages/backend-metal/test/mutants.ts, on software Metal), else of the tests that
// are about it. A change of which the compiler makes the same code is none; the files in mutation/equivalent/ list further ones with reasons. Results
// go to .cache/mutants/results.jsonl; what is there is not done again as long as the file has not changed.
//
//   node scripts/mutate-metal.mjs [--of shaders|bindings|host] [--minutes N] [--seed N] [--processes N] [--quick] [--again] [--listed] [--place NAME]
//     [FILE[:LINE] ...]
// `--quick`: no tests; what samples do not kill is tried again without it. `--again`: those that survived before, only. `--listed`: those that are listed as
// equivalent, only; none may be killed. `--place`: a name for the folders of processes that run beside others.
import { createHash } from "node:crypto";
import { appendFileSync, existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { argv, exit, stderr, stdout } from "node:process";
import { parseArgs } from "node:util";
import { HostBuild } from "./mutation/host-build.mjs";
import { bindingMutants, hostMutants, shaderMutants } from "./mutation/mutants.mjs";
import { isSameCode } from "./mutation/same-code.mjs";
import { Checkout, folder, replaced, Workplace } from "./mutation/workplace.mjs";
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
    again: { type: "boolean", default: false },
    listed: { type: "boolean", default: false },
    place: { type: "string", default: "" },
  },
});
const kinds = { shaders: shaderMutants, bindings: bindingMutants, host: hostMutants };
const mutantsOfKind = kinds[flags.of];
if (mutantsOfKind === undefined) throw new Error(`--of: expected one of ${Object.keys(kinds).join(", ")}, got ${flags.of}`);
const results = join(folder, "results.jsonl");
const hash = (...parts) => createHash("sha256").update(parts.join("\0")).digest("hex").slice(0, 16);
const rank = ({ id }) => hash(flags.seed, id);

const isHost = flags.of === "host";
// A changed shader runs once: compiling it takes longer than that.
const optimize = flags.of === "shaders" ? "-O0" : undefined;
const places = Array.from({ length: Number(flags.processes) }, (_, i) => ({
  measured: new Set(),
  samples: new Workplace(`${flags.of}-${flags.place}${i}`, optimize),
  ...(flags.quick ? {} : { tests: new Checkout(`${flags.of}-${flags.place}tests-${i}`) }),
  ...(isHost ? { host: new HostBuild(join(folder, `${flags.of}-${flags.place}objects-${i}`)) } : {}),
}));
for (const { samples, host } of places) {
  await samples.prepare();
  await host?.prepare();
}
const everything = mutantsOfKind(await places[0].samples.list())
  .map((mutant) => (flags.quick ? { ...mutant, tests: [] } : mutant))
  .filter(
    ({ file, line }) => positionals.length === 0 || positionals.some((name) => `${file}:${line}`.endsWith(name) || file.includes(name)),
  )
  .map((mutant) => ({ ...mutant, id: hash(mutant.file, mutant.whole, mutant.source) }));

/** Mutants that change nothing that anyone could see: { FILE: [[line, line as changed, reason], ...] }. */
const lists = join(root, "scripts", "mutation", "equivalent");
const equivalent = new Set(
  readdirSync(lists)
    .flatMap((name) => Object.entries(JSON.parse(readFileSync(join(lists, name), "utf8"))))
    .flatMap(([file, list]) => list.map(([text, changed]) => hash(file, text, changed))),
);
const isListed = ({ file, text, changed }) => equivalent.has(hash(file, text, changed));

/** Seconds that an op's samples, and tests, take when nothing is changed. */
const time = new Map();
/** Asks what a place has not been asked yet, while nothing is changed: nothing may be wrong then. */
async function measure(measured, cache, names, ask) {
  const unknown = names.filter((name) => !measured.has(name));
  for (const name of unknown) {
    const start = performance.now();
    const said = await ask(name);
    if (said !== "survived") throw new Error(`unchanged sources: ${name}: ${said}`);
    time.set(name, Math.max(time.get(name) ?? 0, (performance.now() - start) / 1000));
    measured.add(name);
  }
  if (unknown.length > 0) cache.keep();
}
const measureSamples = ({ samples, measured }, { ops }) => measure(measured, samples.cache, ops, (op) => samples.ask({ ops: [op] }, 600));
const measureTests = ({ tests, measured }, files, more) =>
  measure(measured, tests.cache, files, (file) => tests.test(file.split(" "), 600, more));
/** How tests of the host run: quickly, and none may wait for ever. */
const testing = isHost ? { options: ["--no-isolate", "--testTimeout=60000"], milliseconds: 180_000 } : {};
/** Where an addon goes. */
const builds = ({ samples, tests }) => [
  join(samples.path, "build"),
  ...(tests ? [join(tests.root, "packages", "backend-metal", "build")] : []),
];
/** Seconds of the processor: what does not end by then does not end. */
const patience = (names) => 5 + 3 * names.reduce((sum, name) => sum + time.get(name), 0);

/** What its samples, else the compiler, else its tests say of a mutant. */
async function outcomeOf(place, mutant) {
  const { samples, tests, host } = place;
  if (host) return outcomeOfHost(place, mutant);
  await measureSamples(place, mutant);
  const said = mutant.ops.length > 0 ? await saidBySamples(samples, mutant) : "survived";
  if (said !== "survived") return said;
  // Generated kernels are no files that could be compared.
  const isFile = flags.of === "shaders" && !mutant.users.includes("generated");
  if (isFile && (await isSameCode(join(samples.path, "shaders"), mutant))) return "same code";
  if (tests === undefined || mutant.tests.length === 0) return said;
  await measureTests(place, mutant.tests);
  return saidByTests(tests, mutant);
}

function saidBySamples(samples, { file, line, source, ops }) {
  const quickest = [...ops].sort((a, b) => time.get(a) - time.get(b));
  if (flags.of !== "shaders")
    return samples.askChanged({ ops: quickest }, { path: relative("packages/backend-metal/src", file), source }, patience(quickest));
  const change = { file: relative("shaders", file), line, text: source.split("\n")[line - 1] };
  return samples.ask({ ops: quickest, change }, patience(quickest)).finally(() => samples.cache.clean());
}

const saidByTests = (tests, mutant) =>
  replaced(join(tests.root, mutant.file), mutant, () => tests.test(mutant.tests, patience(mutant.tests))).finally(() =>
    tests.cache.clean(),
  );

/** The same of a mutant of the host, which is in an addon, and that in a process of its own. */
async function outcomeOfHost(place, mutant) {
  const { samples, tests, host, measured } = place;
  if (measured.size === 0) {
    const unchanged = await host.into(builds(place), { ...mutant, source: mutant.whole });
    if (unchanged !== "survived") throw new Error(`unchanged sources: ${unchanged}`);
    await measureSamples(place, mutant);
    // A host may wait for what never comes.
    samples.mostIdleMilliseconds = 30_000;
    // All about the host are run together.
    if (tests) await measureTests(place, [mutant.tests.join(" ")], testing);
  }
  const built = await host.into(builds(place), mutant);
  if (built !== "survived") return built;
  samples.end();
  const said = await samples.ask({ ops: mutant.ops }, patience(mutant.ops)).finally(() => samples.cache.clean());
  if (said !== "survived") return said;
  if (await host.isSameCode(mutant)) return "same code";
  return tests ? tests.test(mutant.tests, 300, testing).finally(() => tests.cache.clean()) : said;
}

/** A mutant that does not compile is none. */
function outcomeIn(said) {
  if (said === "survived" || said === "same code") return said;
  const isRefused = isHost ? said.startsWith("error:") : /\berror:/.test(said) && !said.startsWith("test:");
  return isRefused ? "refused" : "killed";
}

const quickResults = `${results}.quick`;
const recordsIn = (path) =>
  (existsSync(path) ? readFileSync(path, "utf8").split("\n") : [])
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line))
    .map((record) => [record.id, record]);
const known = new Map(recordsIn(results));
const survivedBefore = new Map([...recordsIn(quickResults), ...known].filter(([, { outcome }]) => outcome === "survived"));
const isWanted = ({ id }) => {
  if (flags.again) return survivedBefore.has(id) && known.get(id)?.outcome !== "killed";
  return !known.has(id) && !((flags.listed || flags.quick) && survivedBefore.has(id));
};
const queue = everything
  .filter((mutant) => isWanted(mutant) && isListed(mutant) === flags.listed && mutant.ops.length + mutant.tests.length > 0)
  .sort((a, b) => (rank(a) < rank(b) ? -1 : 1));
const end = performance.now() + Number(flags.minutes) * 60_000;
async function work(place) {
  for (let mutant = queue.shift(); mutant && performance.now() < end; mutant = queue.shift()) {
    const said = await outcomeOf(place, mutant);
    stderr.write(`${mutant.file}:${mutant.line} ${said.slice(0, 80)}\n`);
    const { id, file, line, name, text, changed } = mutant;
    const record = { id, file, line, name, text, changed, outcome: outcomeIn(said), said: said.slice(0, 200) };
    known.set(id, record);
    appendFileSync(flags.quick && record.outcome === "survived" ? quickResults : results, `${JSON.stringify(record)}\n`);
  }
  place.samples.end();
}
await Promise.all(places.map(work)).catch((error) => {
  stderr.write(`mutate-metal: ${error.message}\n`);
  exit(1);
});

const done = everything.flatMap((mutant) => known.get(mutant.id) ?? []);
const count = (outcome) => done.filter((record) => record.outcome === outcome).length;
const survivors = done.filter((record) => record.outcome === "survived" && !isListed(record));
const share = (100 * count("killed")) / Math.max(1, count("killed") + survivors.length);
const listed = everything.filter(isListed).length;
const wronglyListed = done.filter((record) => record.outcome === "killed" && isListed(record));
const idle = everything.filter(({ ops, tests }) => ops.length + tests.length === 0).length;
stdout.write(
  `${everything.length} mutants, ${done.length} tried: ${count("refused")} do not compile, ${count("same code")} compile to the same code, ` +
    `${count("killed")} killed, ${survivors.length} survived (${share.toFixed(1)} % killed); ${listed} listed as equivalent, ` +
    `${idle} that nothing executes\n`,
);
survivors.sort((a, b) => a.file.localeCompare(b.file) || a.line - b.line);
for (const { file, line, text, changed } of survivors) stdout.write(`  ${file}:${line}: ${text}\n    ${changed}\n`);
for (const { file, line, changed, said } of wronglyListed) stdout.write(`  ${file}:${line} is listed, but killed: ${changed}\n    ${said}\n`);
