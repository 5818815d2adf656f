import { RlxError } from "@rlxjs/ir";
import { type Program, runAtOnce, type Work } from "@rlxjs/runtime";
import type { FunctionConstant, Launch, MetalKernel, Shader } from "./launch.ts";
import { fileSource, generatedSource } from "./shaders.ts";

/** What the device compiles and launches for a program. Indices refer to the lists here and to the program's steps. */
export interface MetalPlan {
  readonly libraries: readonly { readonly label: string; readonly source: string }[];
  readonly pipelines: readonly {
    readonly library: number;
    readonly function: string;
    readonly constants: readonly FunctionConstant[];
  }[];
  /** In the order of execution. */
  readonly launches: readonly PlannedLaunch[];
  /** Steps that can refuse their operands. */
  readonly slots: number;
}
export interface PlannedLaunch {
  readonly step: number;
  readonly pipeline: number;
  /** Where the step's refusals are reported; -1: it cannot refuse. */
  readonly slot: number;
  readonly launch: Launch;
}

/** The launches of a program: `kernels` are those that its steps name. Slots follow the order of steps, so that the first one that refused is the earliest. */
export const planProgram = (program: Program, kernels: readonly MetalKernel[]): MetalPlan => runAtOnce(planWork(program, kernels));

/** The same, to be interrupted between steps. */
export function* planWork(program: Program, kernels: readonly MetalKernel[]): Work<MetalPlan> {
  const byName = new Map(kernels.map((k) => [k.name, k]));
  const steps: (readonly Launch[])[] = [];
  for (const [i, step] of program.steps.entries()) {
    const kernel = byName.get(step.kernel);
    if (!kernel)
      throw new RlxError("ERR_PLAN", `graph "${program.name}": step ${i} ${step.op}: expected a Metal kernel, got "${step.kernel}"`);
    steps.push(kernel.launches(step));
    yield;
  }
  const libraries = new Libraries(steps.flat().map((l) => l.shader));
  const pipelines = new Numbering<MetalPlan["pipelines"][number]>();
  let slots = 0;
  const launches = steps.flatMap((list, step) => {
    const slot = list.some(reports) ? slots++ : -1;
    return list.map((launch): PlannedLaunch => {
      const pipeline = { library: libraries.indexOf(launch.shader), function: launch.function, constants: launch.constants };
      return { step, pipeline: pipelines.of(JSON.stringify(pipeline), pipeline), slot, launch };
    });
  });
  return { libraries: libraries.list, pipelines: pipelines.list, launches, slots };
}

const reports = ({ buffers }: Launch): boolean => buffers.some((b) => b.kind === "status" && b.access !== "read");

/** Things by key, numbered in the order in which they come up. */
class Numbering<T> {
  readonly list: T[] = [];
  readonly #numbers = new Map<string, number>();

  of(key: string, value: T): number {
    const known = this.#numbers.get(key) ?? this.list.push(value) - 1;
    this.#numbers.set(key, known);
    return known;
  }
}

/** One library per file and prelude, and one of all generated functions. */
class Libraries {
  readonly #generated: MetalPlan["libraries"][number];
  readonly #all = new Numbering<MetalPlan["libraries"][number]>();

  constructor(shaders: readonly Shader[]) {
    const texts = new Set(shaders.flatMap((s) => ("text" in s ? [s.text] : [])));
    this.#generated = { label: "generated", source: generatedSource([...texts]) };
  }

  get list(): MetalPlan["libraries"] {
    return this.#all.list;
  }

  indexOf(shader: Shader): number {
    if ("text" in shader) return this.#all.of("generated", this.#generated);
    const { file, prelude = "" } = shader;
    return this.#all.of(`${file}\n${prelude}`, { label: file, source: fileSource(file, prelude) });
  }
}
