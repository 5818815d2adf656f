import {
  type AnyOpDef,
  type AttrRecord,
  byteLength,
  checkAttrs,
  graphBuilder,
  type Graph,
  type InputSpec,
  Rng,
  type Tensor,
  Tensor as TensorClass,
  type Value,
} from "@rlxjs/ir";
import { type Backend, type DeviceBuffer, type Executable, lowerGraph, type Program, type RunCall } from "@rlxjs/runtime";

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

/** The op alone: weights are params, what it writes is a state, the rest are inputs. */
export function oneOpGraph(def: AnyOpDef, { slots, attrs }: Case): Graph {
  const g = graphBuilder(def.name);
  const specs = def.inputs as readonly InputSpec[];
  const values = slots.map((t, i): Value | undefined => {
    if (!t) return undefined;
    const spec = specs[Math.min(i, specs.length - 1)];
    if (spec && def.traits.writes?.includes(spec.name)) return g.state(`s${i}`, t.dtype, t.shape);
    return spec?.kind === "weight" ? g.param(`s${i}`, t.dtype, t.shape) : g.input(`s${i}`, t.dtype, t.shape);
  });
  const names: readonly string[] = def.outputs;
  for (const [i, v] of g.emit(def, values, attrs).entries()) g.output(names[i] ?? "out", v);
  return g.build();
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

/** One op on a backend, as it stands: no fusion, no decomposition. */
export class OneOp implements Disposable {
  readonly program: Program;
  readonly #executable: Executable;
  readonly #call: RunCall;
  readonly #outputs: Tensor[];
  /** What the op writes in place, by slot. */
  readonly states: ReadonlyMap<number, Guarded>;

  constructor(backend: Backend, def: AnyOpDef, sample: Case) {
    const graph = oneOpGraph(def, sample);
    this.program = lowerGraph(graph, { kernels: backend.kernels, hoistWeights: false });
    const operand = (name: string): Tensor => sample.slots[Number(name.slice(1))] as Tensor;
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
        return [[Number(b.name.slice(1)), state]];
      }),
    );
    this.#call = {
      extents: [],
      inputs: this.program.buffers.flatMap((b) => (b.kind === "input" ? [operand(b.name).bytes] : [])),
      outputs: this.#outputs.map((t) => t.bytes),
      states: [...this.states.values()],
    };
  }

  get kernel(): string {
    return this.program.steps[0]?.kernel ?? "none";
  }

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
