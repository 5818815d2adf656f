import {
  addDims,
  type AnyOpDef,
  type AttrRecord,
  bindAttrs,
  type Bindings,
  byteLength,
  checkAttrs,
  evalShape,
  graphBuilder,
  productOf,
  Tensor,
  type TensorType,
  type Value,
} from "@rlxjs/ir";
import { type Backend, type Executable, lowerGraph, type Program } from "@rlxjs/runtime";
import { type Slots, wrongResults } from "../../backend-cpu/test/one-op.ts";

/** An operand that begins `shift` elements behind the beginning of an input. */
export function shiftedInput(g: ReturnType<typeof graphBuilder>, name: string, { dtype, shape }: TensorType, shift: number): Value {
  const size = productOf(shape);
  const whole = g.input(name, dtype, [addDims(size, shift)]);
  return g.reshape(g.slice(whole, { axis: 0, start: shift, size }), { shape });
}
/** What such an input is given. */
export function shiftedBytes(t: Tensor, shift: number): Uint8Array<ArrayBuffer> {
  const before = byteLength(t.dtype, [shift]);
  const bytes = new Uint8Array(before + t.bytes.length).fill(0xff);
  bytes.set(t.bytes, before);
  return bytes;
}
/** Where a result of symbolic extents goes; nothing has written to it. */
export function unwritten({ dtype, shape }: TensorType, extents: Bindings): Tensor {
  const actual = evalShape(shape, extents);
  return Tensor.fromBytes(dtype, actual, new Uint8Array(byteLength(dtype, actual)).fill(0xa5));
}

/**
 * An op as it stands, whose operands may have symbolic extents: one program for all of their values. Operands are views that begin `shift`
 * elements behind the beginning of an input, so that they lie at odd places.
 */
export class SymbolicOp implements Disposable {
  readonly #def: AnyOpDef;
  readonly #attrs: AttrRecord;
  readonly #shift: number;
  readonly #outputs: readonly TensorType[];
  readonly #program: Program;
  readonly #executable: Executable;

  constructor(backend: Backend, def: AnyOpDef, operands: readonly (TensorType | undefined)[], attrs: AttrRecord = {}, shift = 0) {
    const g = graphBuilder(def.name);
    const values = operands.map((type, i) => type && shiftedInput(g, `${i}`, type, shift));
    this.#def = def;
    this.#shift = shift;
    this.#attrs = checkAttrs(def, attrs);
    const results = g.emit(def, values, this.#attrs);
    this.#outputs = results.map((v) => v.type);
    for (const [i, v] of results.entries()) g.output(`${i}`, v);
    this.#program = lowerGraph(g.build(), { kernels: backend.kernels });
    this.#executable = backend.load(
      this.#program,
      this.#program.buffers.map(() => undefined),
    );
  }

  /** Outputs for operands by slot, whose extents are those of `extents`. */
  run(slots: Slots, extents: Bindings = {}): readonly Tensor[] {
    const outputs = this.#outputs.map((type) => unwritten(type, extents));
    this.#executable.runSync({
      extents: this.#program.symbols.map((s) => extents[s.name] ?? Number.NaN),
      inputs: slots.flatMap((t) => (t ? [shiftedBytes(t, this.#shift)] : [])),
      outputs: outputs.map((t) => t.bytes),
      states: [],
    });
    return outputs;
  }

  /** What is wrong with the outputs, in words. */
  wrong(slots: Slots, extents: Bindings = {}): string[] {
    const attrs = bindAttrs(this.#def, this.#attrs, extents);
    return wrongResults(this.#def, [{ name: JSON.stringify(extents), slots, attrs }], this.run(slots, extents));
  }

  [Symbol.dispose](): void {
    this.#executable[Symbol.dispose]();
  }
}

/** Lengths around the sizes of simdgroups and threadgroups. */
export const lengths = [0, 1, 2, 3, 4, 31, 32, 33, 127, 128, 129, 255, 256, 257, 1023, 1025, 5000];
