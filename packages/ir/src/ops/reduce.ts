import type { Builder, Value } from "../builder.ts";
import { type Dim, dimMin, productOf } from "../dim.ts";
import { type DType, isFloat, isInt } from "../dtype.ts";
import { AttrError } from "../errors.ts";
import { type Accumulate, attr, defineOp, input, type TensorType } from "../op.ts";
import type { Rng } from "../rng.ts";
import { floatDTypes, numericDTypes, randomTensor } from "../samples.ts";
import { resolveAxis, showType, stridesOf } from "../shape.ts";
import { Tensor } from "../tensor.ts";
import { castTo, extentValue, widen } from "./widen.ts";

interface Fold {
  readonly float: (acc: number, v: number) => number;
  readonly int: (acc: bigint, v: bigint) => bigint;
  /** Value of an empty reduction; integers have no infinity, so that an empty one is an error there. */
  readonly empty: number;
}

const attrs = { axes: attr.ints.required, keepDims: attr.bool.default(false) };
type ReduceAttrs = { readonly axes: readonly number[]; readonly keepDims: boolean };

function inferReduce(op: string, x: TensorType, { axes, keepDims }: ReduceAttrs, empty: number): TensorType {
  const reduced = new Set(axes.map((a) => resolveAxis(op, a, x.shape.length)));
  if (reduced.size !== axes.length) throw new AttrError(op, `axes: expected each axis once, got [${axes}]`);
  for (const a of reduced)
    if (isInt(x.dtype) && !Number.isFinite(empty) && dimMin(x.shape[a] ?? 1) < 1)
      throw new AttrError(op, `axes: expected axes of at least one element, got [${axes}] of ${showType(x)}`);
  return { dtype: x.dtype, shape: x.shape.flatMap((d, i) => (!reduced.has(i) ? [d] : keepDims ? [1] : [])) };
}

/** For each output element, the offsets of the elements that it is made from are base + inner. */
function offsets(shape: readonly number[], axes: readonly number[]): { bases: number[]; inner: number[] } {
  const reduced = new Set(axes.map((a) => (a < 0 ? a + shape.length : a)));
  const strides = stridesOf(shape);
  const list = (keep: (i: number) => boolean): number[] => {
    let out = [0];
    for (const [i, n] of shape.entries())
      if (keep(i)) out = out.flatMap((at) => Array.from({ length: n }, (_, j) => at + j * (strides[i] ?? 0)));
    return out;
  };
  return { bases: list((i) => !reduced.has(i)), inner: list((i) => reduced.has(i)) };
}

function fold(
  x: Tensor,
  axes: readonly number[],
  out: Tensor,
  { float, int, empty }: Fold,
  finish = (v: number, _n: number): number => v,
): void {
  const { bases, inner } = offsets(x.shape, axes);
  if (isInt(x.dtype))
    for (const [o, base] of bases.entries()) {
      let acc = Number.isFinite(empty) ? BigInt(empty) : x.getInt(base + (inner[0] ?? 0));
      for (const at of inner) acc = int(acc, x.getInt(base + at));
      out.setInt(o, acc);
    }
  else {
    const v = x.values();
    for (const [o, base] of bases.entries()) {
      let acc = empty;
      for (const at of inner) acc = float(acc, v[base + at] ?? 0);
      out.set(o, finish(acc, inner.length));
    }
  }
}

const length = ([x]: readonly (TensorType | undefined)[], { axes }: ReduceAttrs): Dim => productOf(axes.map((a) => x?.shape.at(a) ?? 1));

/** Ones with a few other elements far from each other: a sum, a product and an extreme that miss any of them are wrong. */
function sparse(d: DType, length: number): Tensor {
  const x = Tensor.from(d, [2, length], new Array<number>(2 * length).fill(1));
  for (const [i, v] of [2, -3, 5, 7].entries()) for (const row of [0, 1]) x.set(row * length + i * (length >> 2) + 3 * row, v + row);
  return x;
}

const reduceSamples = (rng: Rng, dtypes: readonly DType[], empty: number) => [
  ...dtypes.flatMap((d) => [
    { inputs: { x: randomTensor(rng, d, [1]) }, attrs: { axes: [0] } },
    { inputs: { x: randomTensor(rng, d, [0, 3]) }, attrs: { axes: [1] } },
    ...(isFloat(d) || Number.isFinite(empty) ? [{ inputs: { x: randomTensor(rng, d, [2, 0]) }, attrs: { axes: [1] } }] : []),
    { inputs: { x: randomTensor(rng, d, [3, 7]) }, attrs: { axes: [] } },
    { inputs: { x: randomTensor(rng, d, [3, 7]) }, attrs: { axes: [0, 1], keepDims: true } },
    { inputs: { x: randomTensor(rng, d, [2, 5, 3]) }, attrs: { axes: [1] } },
    { inputs: { x: randomTensor(rng, d, [2, 5, 3]) }, attrs: { axes: [0, -1] } },
    { inputs: { x: randomTensor(rng, d, [2, 1031], 0.1) }, attrs: { axes: [-1], keepDims: true } },
  ]),
  ...(["f32", "i32"] as const)
    .filter((d) => dtypes.includes(d))
    .map((d) => ({ inputs: { x: sparse(d, 16_401) }, attrs: { axes: [1], keepDims: false } })),
];

type XInput = readonly [ReturnType<typeof input<"x">>];
const reduce = <const N extends string>(name: N, doc: string, how: Fold, magnitude?: Accumulate<XInput, typeof attrs>["magnitude"]) =>
  defineOp({
    name,
    doc,
    inputs: [input("x", "numeric")],
    attrs,
    traits: magnitude ? { accumulate: { dtype: "f32", length, magnitude } } : {},
    infer: ({ x }, a) => inferReduce(name, x, a, how.empty),
    reference: ({ x }, { axes }, out) => fold(x, axes, out, how),
    samples: (rng) => reduceSamples(rng, numericDTypes, how.empty),
  });

export const reduceSum = reduce(
  "reduce_sum",
  "Sum over `axes`; integers wrap.",
  { float: (a, v) => a + v, int: (a, v) => a + v, empty: 0 },
  "absolute",
);
export const reduceProd = reduce(
  "reduce_prod",
  "Product over `axes`; integers wrap.",
  { float: (a, v) => a * v, int: (a, v) => BigInt.asIntN(64, a * v), empty: 1 },
  "relative",
);
export const reduceMax = reduce("reduce_max", "Maximum over `axes`; NaN if one is NaN, -infinity for none.", {
  float: Math.max,
  empty: Number.NEGATIVE_INFINITY,
  int: (a, v) => (v > a ? v : a),
});
export const reduceMin = reduce("reduce_min", "Minimum over `axes`; NaN if one is NaN, infinity for none.", {
  float: Math.min,
  empty: Number.POSITIVE_INFINITY,
  int: (a, v) => (v < a ? v : a),
});

export const reduceMean = defineOp({
  name: "reduce_mean",
  doc: "Mean over `axes`, of floats; NaN for none.",
  inputs: [input("x", "float")],
  attrs,
  traits: { accumulate: { dtype: "f32", length, magnitude: "absolute" } },
  infer: ({ x }, a) => inferReduce("reduce_mean", x, a, 0),
  reference: ({ x }, { axes }, out) => fold(x, axes, out, { float: (a, v) => a + v, int: (a) => a, empty: 0 }, (sum, n) => sum / n),
  decompose: (b: Builder, { x }: { x: Value }, { axes, keepDims }: ReduceAttrs): Value => {
    const v = widen(b, x);
    const count = extentValue(b, productOf(axes.map((a) => x.shape.at(a) ?? 1)), v.dtype);
    return castTo(b, b.div(b.reduceSum(v, { axes, keepDims }), count), x.dtype);
  },
  samples: (rng) => reduceSamples(rng, floatDTypes, 0),
});
