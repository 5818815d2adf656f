import {
  type AnyOpDef,
  type AttrRecord,
  byteLength,
  checkAttrs,
  checkInputs,
  findMismatch,
  graphBuilder,
  type Graph,
  type InputSpec,
  Rng,
  runReference,
  type Tensor,
  type TensorType,
  Tensor as TensorClass,
  type Value,
} from "@rlxjs/ir";
import { type Backend, type DeviceBuffer, type Executable, type Kernel, lowerGraph, type Program, type RunCall } from "@rlxjs/runtime";

/** Operands of a sample by input slot. */
export type Slots = readonly (Tensor | undefined)[];
export interface Case {
  readonly name: string;
  readonly slots: Slots;
  readonly attrs: AttrRecord;
}

/** The samples of an op, with defaults filled in. */
export function casesOf(def: AnyOpDef): Case[] {
  const specs = def.inputs as readonly InputSpec[];
  const samples: readonly { readonly name?: string; readonly inputs: object; readonly attrs?: object }[] = def.samples?.(new Rng(7)) ?? [];
  return samples.map((sample, i) => {
    const named = sample.inputs as Readonly<Record<string, Tensor | readonly Tensor[] | undefined>>;
    const slots = specs.flatMap((s): (Tensor | undefined)[] => {
      const given = named[s.name];
      return given === undefined || given instanceof TensorClass ? [given] : [...(given as readonly Tensor[])];
    });
    const types = slots.map((t) => (t ? `${t.dtype}[${t.shape}]` : "none")).join(", ");
    const attrs = checkAttrs(def, (sample.attrs ?? {}) as AttrRecord);
    return { name: sample.name ?? `#${i} (${types})`, slots, attrs };
  });
}

/** The op alone, once per sample: weights are params, what it writes is a state, the rest are inputs. Names begin with the sample's number. */
export function opGraph(def: AnyOpDef, samples: readonly Case[]): Graph {
  const g = graphBuilder(def.name);
  const specs = def.inputs as readonly InputSpec[];
  const names: readonly string[] = def.outputs;
  for (const [k, { slots, attrs }] of samples.entries()) {
    const values = slots.map((t, i): Value | undefined => {
      if (!t) return undefined;
      const spec = specs[Math.min(i, specs.length - 1)];
      const name = `${k}:${i}`;
      if (spec && def.traits.writes?.includes(spec.name)) return g.state(name, t.dtype, t.shape);
      return spec?.kind === "weight" ? g.param(name, t.dtype, t.shape) : g.input(name, t.dtype, t.shape);
    });
    for (const [i, v] of g.emit(def, values, attrs).entries()) g.output(`${k}:${names[i] ?? "out"}`, v);
  }
  return g.build();
}

/** The types of what an op makes of a sample. */
export const resultTypes = (def: AnyOpDef, { slots, attrs }: Case): readonly TensorType[] => checkInputs(def, slots, attrs);

/** Why none of the kernels takes an op on a sample; undefined when one does. */
export function refusal(kernels: readonly Kernel[], def: AnyOpDef, sample: Case): string | undefined {
  const specs = def.inputs as readonly InputSpec[];
  const inputs = sample.slots.map(
    (t, i) => t && { dtype: t.dtype, shape: t.shape, weight: specs[Math.min(i, specs.length - 1)]?.kind === "weight" },
  );
  const node = { def, attrs: sample.attrs, inputs, outputs: resultTypes(def, sample) };
  const answers = kernels.filter((k) => k.op === def.name).map((k) => k.accepts(node));
  return answers.includes(true) ? undefined : answers.join("; ") || "no kernel";
}

/** Device memory between canaries. */
class Guarded implements DeviceBuffer {
  static readonly #edge = 64;
  readonly #whole: DeviceBuffer;
  readonly bytes: Uint8Array<ArrayBuffer>;

  constructor(backend: Backend, bytes: number) {
    this.#whole = backend.allocate(bytes + 2 * Guarded.#edge);
    this.#whole.bytes.fill(0xc5);
    this.bytes = this.#whole.bytes.subarray(Guarded.#edge, Guarded.#edge + bytes);
  }
  get intact(): boolean {
    const { bytes } = this.#whole;
    return [bytes.subarray(0, Guarded.#edge), bytes.subarray(Guarded.#edge + this.bytes.length)].every((side) =>
      side.every((b) => b === 0xc5),
    );
  }
  [Symbol.dispose](): void {
    this.#whole[Symbol.dispose]();
  }
}

/** One op on a backend, as it stands: no fusion, no decomposition. All samples are steps of one program, so that a device compiles once. */
export class OpProgram implements Disposable {
  readonly program: Program;
  readonly #executable: Executable;
  readonly #call: RunCall;
  readonly #outputs: readonly Tensor[];
  /** What the op writes in place, by name in the graph. */
  readonly states: ReadonlyMap<string, Guarded>;

  constructor(backend: Backend, def: AnyOpDef, samples: readonly Case[]) {
    const graph = opGraph(def, samples);
    this.program = lowerGraph(graph, { kernels: backend.kernels, hoistWeights: false });
    const operand = (name: string): Tensor => {
      const [k, slot] = name.split(":").map(Number);
      return samples[k ?? 0]?.slots[slot ?? 0] as Tensor;
    };
    const bound = this.program.buffers.map((b) => {
      if (b.kind === "constant") return b.value.bytes;
      if (b.kind !== "weight" || b.source.kind !== "param") return undefined;
      const weight = operand(b.source.name);
      return b.layout === undefined ? weight.bytes : backend.packSync(weight, b.layout);
    });
    this.#executable = backend.load(this.program, bound);
    this.#outputs = graph.outputs.map(({ value }) => {
      const { dtype, shape } = graph.values[value] ?? { dtype: "f32", shape: [] };
      return TensorClass.fromBytes(dtype, shape.map(Number), new Uint8Array(byteLength(dtype, shape.map(Number))).fill(0xa5));
    });
    this.states = new Map(
      this.program.buffers.flatMap((b) => {
        if (b.kind !== "state") return [];
        const state = new Guarded(backend, b.bytes);
        state.bytes.set(operand(b.name).bytes);
        return [[b.name, state]];
      }),
    );
    this.#call = {
      extents: [],
      inputs: this.program.buffers.flatMap((b) => (b.kind === "input" ? [operand(b.name).bytes] : [])),
      outputs: this.#outputs.map((t) => t.bytes),
      states: [...this.states.values()],
    };
  }

  /** The outputs of all samples, one after the other. */
  runSync(): readonly Tensor[] {
    this.#executable.runSync(this.#call);
    return this.#outputs;
  }
  async run(): Promise<readonly Tensor[]> {
    await this.#executable.run(this.#call);
    return this.#outputs;
  }

  [Symbol.dispose](): void {
    for (const s of this.states.values()) s[Symbol.dispose]();
    this.#executable[Symbol.dispose]();
  }
}

/** The same on one sample. */
export class OneOp implements Disposable {
  readonly #all: OpProgram;
  /** What the op writes in place, by slot. */
  readonly states: ReadonlyMap<number, Guarded>;

  constructor(backend: Backend, def: AnyOpDef, sample: Case) {
    this.#all = new OpProgram(backend, def, [sample]);
    this.states = new Map([...this.#all.states].map(([name, state]) => [Number(name.split(":")[1]), state]));
  }

  get program(): Program {
    return this.#all.program;
  }
  get kernel(): string {
    return this.program.steps[0]?.kernel ?? "none";
  }
  runSync(): readonly Tensor[] {
    return this.#all.runSync();
  }
  run(): Promise<readonly Tensor[]> {
    return this.#all.run();
  }
  [Symbol.dispose](): void {
    this.#all[Symbol.dispose]();
  }
}

/** The outputs of an op on samples, one sample after the other. What the op writes in place stays within its memory. */
export function resultsOf(backend: Backend, def: AnyOpDef, samples: readonly Case[]): readonly Tensor[] {
  using all = new OpProgram(backend, def, samples);
  const results = all.runSync();
  for (const [name, { intact }] of all.states) if (!intact) throw new Error(`${def.name}: memory beside state ${name} was written`);
  return results;
}

/** What the op's own reference says of a sample. */
export function expectedOf(def: AnyOpDef, sample: Case): readonly Tensor[] {
  const expected = resultTypes(def, sample).map(({ dtype, shape }) => TensorClass.zeros(dtype, shape.map(Number)));
  runReference(def, sample.slots, sample.attrs, expected);
  return expected;
}

/** What of `results` is not what the op's own reference says of the samples, in words. */
export function wrongResults(def: AnyOpDef, samples: readonly Case[], results: readonly Tensor[], expectedOfSample = expectedOf): string[] {
  const count = def.outputs.length;
  return samples.flatMap((sample, k) => {
    const actual = results.slice(k * count, (k + 1) * count);
    const bad = findMismatch(def, sample.slots, sample.attrs, expectedOfSample(def, sample), actual);
    if (!bad) return [];
    const { output, index, actual: got, expected: wanted, tolerance } = bad;
    return [`${sample.name} ${JSON.stringify(sample.attrs)}: ${output}[${index}] is ${got}, expected ${wanted} within ${tolerance}`];
  });
}
