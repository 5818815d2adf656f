// For scripts/mutate-metal.mjs: runs ops' samples on software Metal and tells the first thing that is wrong.
//   node mutants.mjs list     prints { "SHADER FILE": ["OP", ...] }
//   node mutants.mjs serve    answers requests, which are lines of JSON
import { createInterface } from "node:readline";
import { createReferenceBackend } from "@rlxjs/backend-cpu";
import * as ir from "@rlxjs/ir";
import type { AnyOpDef, Tensor } from "@rlxjs/ir";
import * as runtime from "@rlxjs/runtime";
import { lowerGraph, registerBackend, Session } from "@rlxjs/runtime";
import * as runtimeNode from "@rlxjs/runtime/node";
import { type Case, casesOf, expectedOf, opGraph, refusal, resultsOf, wrongResults } from "../../backend-cpu/test/one-op.ts";
import { linesOf, refusalsOf } from "../../backend-cpu/test/refusals.ts";
import { loadMetalAddon, type MetalAddon, type SoftwareOptions } from "../src/addon.ts";
import * as original from "../src/backend.ts";
import { metalKernels } from "../src/kernels/index.ts";
import { planProgram } from "../src/plan.ts";
import { chainedResults, chainOf, someOf } from "./chained.ts";
import { isCutAlike, symbolicResults } from "./symbolic-samples.ts";

/** What is changed: a line of a file of `shaders/`, or the backend, of which `backend` is a bundle that leaves the other packages to this process. */
interface Request {
  readonly ops: readonly string[];
  readonly change?: { readonly file: string; readonly line: number; readonly text: string };
  readonly backend?: string;
}

const once = <K, V>(make: (key: K) => V): ((key: K) => V) => {
  const known = new Map<K, V>();
  return (key) => {
    if (!known.has(key)) known.set(key, make(key));
    return known.get(key) as V;
  };
};
const computed = (Object.values(ir.ops) as AnyOpDef[]).filter((def) => def.traits.leaf === undefined);
const named = (op: string): AnyOpDef => computed.find(({ name }) => name === op) as AnyOpDef;
const samplesOf = once((def: AnyOpDef): Case[] => casesOf(def).filter((sample) => refusal(metalKernels, def, sample) === undefined));
const chainOnce = once((def: AnyOpDef): Case[] => chainOf(def, samplesOf(def)));
const expected = new Map<Case, readonly Tensor[]>();
const expectedOnce: typeof expectedOf = (def, sample) => {
  const known = expected.get(sample) ?? expectedOf(def, sample);
  expected.set(sample, known);
  return known;
};
const wrongOf = (def: AnyOpDef, samples: readonly Case[], results: readonly Tensor[]): string | undefined =>
  wrongResults(def, samples, results, expectedOnce)[0];
const expectedRefusals = once((names: string): string =>
  linesOf(refusalsOf(createReferenceBackend(), (op) => names.split(" ").includes(op))),
);

/** Which ops' samples execute which files of shaders. */
function opsByFile(): Record<string, string[]> {
  const found: Record<string, string[]> = {};
  for (const def of computed) {
    const program = lowerGraph(opGraph(def, samplesOf(def)), { kernels: metalKernels, hoistWeights: false });
    const files = planProgram(program, metalKernels).launches.map(({ launch: { shader } }) =>
      "file" in shader ? shader.file : "generated",
    );
    for (const file of new Set(files)) {
      found[file] ??= [];
      found[file].push(def.name);
    }
  }
  return found;
}

/** A complete source with one line of one file replaced; its #line directives tell where lines are from. */
function withLine(source: string, change: Request["change"]): string {
  if (change === undefined) return source;
  let at = { file: "", line: 0 };
  const lines = source.split("\n").map((text) => {
    const [, line, file] = /^#line (\d+) "(.*)"$/.exec(text) ?? [];
    if (file !== undefined) {
      at = { file, line: Number(line) };
      return text;
    }
    return at.line++ === change.line && at.file === change.file ? change.text : text;
  });
  return lines.join("\n");
}

/** An addon whose devices compile changed sources. */
function changedAddon(addon: MetalAddon, change: Request["change"]): MetalAddon {
  type Load = InstanceType<MetalAddon["Device"]>["load"];
  type Prepare = InstanceType<MetalAddon["Device"]>["prepare"];
  type Libraries = Parameters<Load>[3];
  const changed = (libraries: Libraries): Libraries => libraries.map((l) => ({ ...l, source: withLine(l.source, change) }));
  const Device = class extends addon.Device {
    override prepare(...[words, functions, libraries]: Parameters<Prepare>): ReturnType<Prepare> {
      return super.prepare(words, functions, changed(libraries));
    }
    override load(...[name, words, functions, libraries, ...rest]: Parameters<Load>): ReturnType<Load> {
      return super.load(name, words, functions, changed(libraries), ...rest);
    }
  };
  return { ...addon, Device };
}

let opened: () => runtime.Backend;
registerBackend("metal", async () => opened());

async function firstProblem({ ops: names, change, backend: bundle }: Request): Promise<string | undefined> {
  const { addon, reason } = loadMetalAddon();
  const software = addon?.software;
  if (!addon || !software) throw new Error(`expected an addon with software Metal: ${reason}`);
  const { createMetalBackend } = bundle === undefined ? original : ((await import(bundle)) as typeof original);
  const fault = (): string | undefined => software.takeFaults().map(({ kind, message }) => `${kind}: ${message}`)[0];
  const defs = names.map(named);
  const open = (options: SoftwareOptions) => {
    software.configure(options);
    return createMetalBackend(changedAddon(addon, change));
  };
  fault();
  const waysToRun: SoftwareOptions[] = [{ order: "forward" }, { order: "random", seed: 7, check: true }];
  for (const options of waysToRun) {
    using backend = open(options);
    for (const def of defs) {
      const samples = samplesOf(def);
      const wrong = wrongOf(def, samples, resultsOf(backend, def, samples)) ?? fault();
      if (wrong !== undefined) return `${def.name}: ${wrong}`;
    }
    const isWanted = (op: string): boolean => names.includes(op);
    if (linesOf(refusalsOf(backend, isWanted)) !== expectedRefusals(names.join(" "))) return "refusals in other words";
  }
  // What a launch declares of its operands is not in its shader.
  if (change !== undefined) return undefined;
  opened = () => open({ order: "forward", check: true });
  using session = await Session.open({ device: "metal" });
  for (const def of defs) {
    const samples = chainOnce(def);
    const wrong = wrongOf(def, samples, chainedResults(session, def, samples)) ?? fault();
    if (wrong !== undefined) return `${def.name}, chained: ${wrong}`;
  }
  using backend = opened();
  for (const def of defs) {
    const { samples, results, launches, launchesOfKnown } = symbolicResults(backend, def, someOf(samplesOf(def), 24));
    const wrong = wrongOf(def, samples, results) ?? fault();
    if (wrong !== undefined) return `${def.name}, symbolic: ${wrong}`;
    if (isCutAlike(def) && String(launches) !== String(launchesOfKnown)) return `${def.name}, symbolic: ${launches} launches`;
  }
  return undefined;
}

async function serve(): Promise<void> {
  Object.assign(globalThis, { rlxjsShared: { "@rlxjs/ir": ir, "@rlxjs/runtime": runtime, "@rlxjs/runtime/node": runtimeNode } });
  for await (const line of createInterface({ input: process.stdin })) {
    const wrong = await firstProblem(JSON.parse(line)).catch((error: unknown) => (error instanceof Error ? error.message : String(error)));
    process.stdout.write(`${JSON.stringify(wrong ?? "survived")}\n`);
  }
}

if (process.argv[2] === "list") process.stdout.write(`${JSON.stringify(opsByFile())}\n`);
else await serve();
