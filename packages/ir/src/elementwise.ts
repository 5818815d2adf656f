import type { DType } from "./dtype.ts";
import { isBlock, isFloat } from "./dtype.ts";
import {
  type Attrs,
  type AttrValues,
  defineOp,
  type Inputs,
  type Named,
  type OpDef,
  type OpTraits,
  type Sample,
  type TensorType,
} from "./op.ts";
import type { Rng } from "./rng.ts";
import { type ComputeClass, type Reg, type ScalarBody, type ScalarBuilder, scalarBuilder } from "./scalar.ts";
import { evalFloatBody, evalIntBody } from "./scalar-eval.ts";
import { broadcastShapes, stridesOf } from "./shape.ts";
import type { Tensor } from "./tensor.ts";

/** The register type for operands of `dtype`. */
export const computeClass = (dtype: DType): ComputeClass => (dtype === "f64" ? "f64" : isFloat(dtype) || isBlock(dtype) ? "f32" : "i64");

interface ElementwiseArgs<I extends Inputs, A extends Attrs> {
  readonly name: string;
  readonly doc: string;
  readonly inputs: I;
  readonly attrs?: A;
  readonly traits?: OpTraits<I, A>;
  /** Output dtype from the operand dtypes; throws ShapeError when they do not go together. */
  readonly dtype: (dtypes: readonly DType[], attrs: AttrValues<A>) => DType;
  /** Which operand decides the register type (default: the first). */
  readonly computeFrom?: number;
  /** The result as an expression of one element of each operand. */
  readonly expr: (s: ScalarBuilder, args: readonly Reg[], attrs: AttrValues<A>, dtypes: readonly DType[]) => Reg;
  readonly samples: (rng: Rng) => readonly Sample<I, A>[];
}

/** Define an op by its scalar expression: shape rule, reference and generated kernels all follow from it. */
export function defineElementwise<const I extends Inputs, const A extends Attrs = Record<never, never>>(
  def: ElementwiseArgs<I, A>,
): OpDef<I, A> {
  const { name, inputs, expr, dtype, computeFrom = 0, traits, ...rest } = def;
  const elementwise = (types: readonly TensorType[], attrs: AttrValues<A>): ScalarBody => {
    const s = scalarBuilder(inputs.length);
    const out = expr(
      s,
      inputs.map((_, i) => i),
      attrs,
      types.map((t) => t.dtype),
    );
    return { inputs: inputs.length, compute: computeClass(types[computeFrom]?.dtype ?? "f32"), steps: s.steps, outputs: [out] };
  };
  const operands = <V>(named: Named<I, V>): V[] => inputs.map((s) => (named as Record<string, V>)[s.name] as V);
  return defineOp<I, A>({
    name,
    inputs,
    ...rest,
    traits: { inPlace: inputs.map((s) => s.name), ...traits, elementwise },
    infer: (named, attrs) => {
      const types = operands<TensorType>(named);
      return {
        dtype: dtype(
          types.map((t) => t.dtype),
          attrs,
        ),
        shape: broadcastShapes(name, ...types.map((t) => t.shape)),
      };
    },
    reference: (named, attrs, out) => runBody(elementwise(operands<Tensor>(named), attrs), operands<Tensor>(named), [out as Tensor]),
  } as Parameters<typeof defineOp<I, A>>[0]);
}

/** Evaluate a scalar body over broadcast operands, every element in f64 (or exact integers), rounded once per output. */
export function runBody(body: ScalarBody, inputs: readonly Tensor[], outs: readonly Tensor[]): void {
  const [first] = outs;
  if (!first) return;
  const shape = first.shape;
  const strides = inputs.map((t) => broadcastStrides(t.shape, shape));
  const decoded = body.compute === "i64" ? [] : inputs.map((t) => t.values());
  const index = new Array<number>(shape.length).fill(0);
  const at = new Array<number>(inputs.length).fill(0);
  for (let i = 0; i < first.size; i++) {
    if (body.compute === "i64") {
      const r = evalIntBody(
        body,
        inputs.map((t, k) => t.getInt(at[k] ?? 0)),
      );
      for (const [k, t] of outs.entries()) t.setInt(i, r[k] ?? 0n);
    } else {
      const r = evalFloatBody(
        body,
        decoded.map((d, k) => d[at[k] ?? 0] ?? 0),
      );
      for (const [k, t] of outs.entries()) t.set(i, r[k] ?? 0);
    }
    for (let d = shape.length - 1; d >= 0; d--) {
      const extent = shape[d] ?? 1;
      index[d] = (index[d] ?? 0) + 1;
      const wrap = index[d] === extent;
      if (wrap) index[d] = 0;
      for (const [k, s] of strides.entries()) at[k] = (at[k] ?? 0) + (s[d] ?? 0) * (wrap ? 1 - extent : 1);
      if (!wrap) break;
    }
  }
}

/** Strides of an operand in the iteration space of `shape`; 0 where it is broadcast. */
export function broadcastStrides(operand: readonly number[], shape: readonly number[]): number[] {
  const own = stridesOf(operand);
  const shift = shape.length - operand.length;
  return shape.map((_, i) => ((operand[i - shift] ?? 1) === 1 ? 0 : (own[i - shift] ?? 0)));
}

/** Where the element at flat index `i` of `shape` lies, axis d advancing `strides[d]`. */
export function offsetAt(i: number, shape: readonly number[], strides: readonly number[]): number {
  let at = 0;
  let rest = i;
  for (let d = shape.length - 1; d >= 0; d--) {
    const n = shape[d] ?? 1;
    at += (rest % n) * (strides[d] ?? 0);
    rest = Math.floor(rest / n);
  }
  return at;
}
