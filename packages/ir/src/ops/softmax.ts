import type { Builder, Value } from "../builder.ts";
import { maxAbs } from "../magnitude.ts";
import { attr, defineOp, input, type TensorType } from "../op.ts";
import type { Rng } from "../rng.ts";
import { floatDTypes, randomTensor } from "../samples.ts";
import { resolveAxis } from "../shape.ts";
import { Tensor } from "../tensor.ts";
import { type Floats, lanes } from "./rules.ts";
import { castTo, widen } from "./widen.ts";

const extent = ([x]: readonly (TensorType | undefined)[], { axis }: { axis: number }) => x?.shape.at(axis) ?? 1;

const samples = (rng: Rng) => [
  ...floatDTypes.flatMap((d) => [
    { inputs: { x: randomTensor(rng, d, [1]) } },
    { inputs: { x: randomTensor(rng, d, [0, 3]) } },
    { inputs: { x: randomTensor(rng, d, [3, 0]) } },
    { inputs: { x: randomTensor(rng, d, [5, 7]) } },
    { inputs: { x: randomTensor(rng, d, [2, 5, 3]) }, attrs: { axis: 1 } },
    { inputs: { x: randomTensor(rng, d, [5, 2]) }, attrs: { axis: 0 } },
    { inputs: { x: randomTensor(rng, d, [2, 1031], 10) } },
    { inputs: { x: Tensor.from(d, [2, 3], [1000, 999, -Infinity, 0, -1000, 0]) } },
  ]),
  // e^x would overflow, wherever in a lane the largest element is.
  { inputs: { x: randomTensor(rng, "f32", [3, 260], 100) } },
  { inputs: { x: randomTensor(rng, "f32", [2, 3, 7], 200) }, attrs: { axis: 1 } },
];

/** Largest element of a lane, and the sum of e^(x - largest), which cannot overflow. */
function normalizer(v: Floats, start: number, length: number, stride: number): { max: number; sum: number } {
  let max = Number.NEGATIVE_INFINITY;
  for (let j = 0; j < length; j++) max = Math.max(max, v[start + j * stride] ?? 0);
  let sum = 0;
  for (let j = 0; j < length; j++) sum += Math.exp((v[start + j * stride] ?? 0) - max);
  return { max, sum };
}

function perLane(x: Tensor, axis: number, out: Tensor, f: (x: number, max: number, sum: number) => number): void {
  const { outer, length, inner } = lanes(x.shape, axis);
  const v = x.values();
  for (let o = 0; o < outer; o++)
    for (let i = 0; i < inner; i++) {
      const start = o * length * inner + i;
      const { max, sum } = normalizer(v, start, length, inner);
      for (let j = 0; j < length; j++) out.set(start + j * inner, f(v[start + j * inner] ?? 0, max, sum));
    }
}

export const softmax = defineOp({
  name: "softmax",
  doc: "e^x / sum(e^x) along `axis`, with the maximum subtracted first.",
  inputs: [input("x", "float")],
  attrs: { axis: attr.int.default(-1) },
  traits: {
    inPlace: ["x"],
    accumulate: {
      dtype: "f32",
      length: extent,
      // The rounding of x - max is relative to its size, and comes out of e^x as a relative error.
      magnitude: ({ x }) => {
        const m = 1 + 2 * maxAbs(x);
        return (y) => m * Math.abs(y);
      },
    },
  },
  infer: ({ x }, { axis }) => {
    resolveAxis("softmax", axis, x.shape.length);
    return x;
  },
  reference: ({ x }, { axis }, out) => perLane(x, axis, out, (v, max, sum) => Math.exp(v - max) / sum),
  decompose: (b: Builder, { x }: { x: Value }, { axis }: { axis: number }): Value => {
    const v = widen(b, x);
    const e = b.exp(b.sub(v, b.reduceMax(v, { axes: [axis], keepDims: true })));
    return castTo(b, b.div(e, b.reduceSum(e, { axes: [axis], keepDims: true })), x.dtype);
  },
  samples,
});

export const logSoftmax = defineOp({
  name: "log_softmax",
  doc: "x - log(sum(e^x)) along `axis`, with the maximum subtracted first.",
  inputs: [input("x", "float")],
  attrs: { axis: attr.int.default(-1) },
  traits: {
    inPlace: ["x"],
    accumulate: {
      dtype: "f32",
      length: extent,
      magnitude: ({ x }) => {
        const m = 1 + 2 * maxAbs(x);
        return () => m;
      },
    },
  },
  infer: ({ x }, { axis }) => {
    resolveAxis("log_softmax", axis, x.shape.length);
    return x;
  },
  reference: ({ x }, { axis }, out) => perLane(x, axis, out, (v, max, sum) => v - max - Math.log(sum)),
  decompose: (b: Builder, { x }: { x: Value }, { axis }: { axis: number }): Value => {
    const v = widen(b, x);
    const shifted = b.sub(v, b.reduceMax(v, { axes: [axis], keepDims: true }));
    return castTo(b, b.sub(shifted, b.log(b.reduceSum(b.exp(shifted), { axes: [axis], keepDims: true }))), x.dtype);
  },
  samples,
});
