// For scripts/mutate-metal.mjs, which bundles this with mutated sources: runs ops' samples on software Metal and tells the first thing that is wrong.
//   node mutants.mjs list             { "SHADER FILE": ["OP", ...] }
//   node mutants.mjs run OP ...       "survived", or what was wrong
import { createReferenceBackend } from "@rlxjs/backend-cpu";
import { type AnyOpDef, ops } from "@rlxjs/ir";
import { lowerGraph, registerBackend, Session } from "@rlxjs/runtime";
import { linesOf, refusalsOf } from "../../backend-cpu/test/refusals.ts";
import { type Case, casesOf, opGraph, refusal, resultsOf, wrongResults } from "../../backend-cpu/test/one-op.ts";
import { loadMetalAddon, type SoftwareOptions } from "../src/addon.ts";
import { createMetalBackend } from "../src/backend.ts";
import { metalKernels } from "../src/kernels/index.ts";
import { planProgram } from "../src/plan.ts";
import { chainedResults } from "./chained.ts";

const computed = (Object.values(ops) as AnyOpDef[]).filter((def) => def.traits.leaf === undefined);
const samplesOf = (def: AnyOpDef): Case[] => casesOf(def).filter((sample) => refusal(metalKernels, def, sample) === undefined);

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

async function firstProblem(names: readonly string[]): Promise<string | undefined> {
  const { addon, reason } = loadMetalAddon();
  const software = addon?.software;
  if (!addon || !software) throw new Error(`expected an addon with software Metal: ${reason}`);
  const fault = (): string | undefined => software.takeFaults().map(({ kind, message }) => `${kind}: ${message}`)[0];
  const defs = computed.filter(({ name }) => names.includes(name));
  const open = (options: SoftwareOptions) => {
    software.configure(options);
    return createMetalBackend(addon);
  };
  const waysToRun: SoftwareOptions[] = [{ order: "forward" }, { order: "random", seed: 7, check: true }];
  for (const options of waysToRun) {
    using backend = open(options);
    for (const def of defs) {
      const samples = samplesOf(def);
      const wrong = wrongResults(def, samples, resultsOf(backend, def, samples))[0] ?? fault();
      if (wrong !== undefined) return `${def.name}: ${wrong}`;
    }
    const isWanted = (op: string): boolean => names.includes(op);
    const said = linesOf(refusalsOf(backend, isWanted));
    if (said !== linesOf(refusalsOf(createReferenceBackend(), isWanted))) return "refusals in other words";
  }
  registerBackend("metal", async () => open({ order: "forward", check: true }));
  using session = await Session.open({ device: "metal" });
  for (const def of defs) {
    const all = samplesOf(def);
    const samples = all.filter((_, i) => i % Math.ceil(all.length / 8) === 0);
    const wrong = wrongResults(def, samples, chainedResults(session, def, samples))[0] ?? fault();
    if (wrong !== undefined) return `${def.name}, chained: ${wrong}`;
  }
  return fault();
}

const [command, ...names] = process.argv.slice(2);
if (command === "list") process.stdout.write(`${JSON.stringify(opsByFile())}\n`);
else {
  const wrong = await firstProblem(names).catch((error: unknown) => (error instanceof Error ? error.message : String(error)));
  process.stdout.write(`${wrong ?? "survived"}\n`);
}
