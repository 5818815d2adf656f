import { type Dim, dimMin } from "../dim.ts";
import { isInt } from "../dtype.ts";
import { AttrError } from "../errors.ts";
import { attr, defineOp, input } from "../op.ts";
import type { Rng } from "../rng.ts";
import { floatDTypes, numericDTypes, randomTensor } from "../samples.ts";
import { resolveAxis } from "../shape.ts";
import { Tensor } from "../tensor.ts";
import { lanes, lastExtent } from "./rules.ts";

/** Exact elements: bigints for integers, doubles for floats. */
function elements(x: Tensor): (i: number) => number | bigint {
  if (isInt(x.dtype)) return (i) => x.getInt(i);
  const values = x.values();
  return (i) => values[i] ?? 0;
}
const isNan = (v: number | bigint): boolean => typeof v === "number" && Number.isNaN(v);
/** NaN counts as larger than everything, and as equal to itself. */
const above = (a: number | bigint, b: number | bigint): boolean => !isNan(b) && (isNan(a) || a > b);

/** Two rows of zeros: with equal largest elements at two places, and behind each a smallest one. */
function long(length: number, ...largest: readonly (readonly number[])[]): Tensor {
  const x = Tensor.zeros("f32", [largest.length, length]);
  for (const [row, places] of largest.entries())
    for (const i of places) {
      x.set(row * length + i, 1);
      if (i + 1 < length) x.set(row * length + i + 1, -1);
    }
  return x;
}

const argSamples = (rng: Rng) => [
  ...numericDTypes.flatMap((d) => [
    { inputs: { x: randomTensor(rng, d, [1]) } },
    { inputs: { x: randomTensor(rng, d, [0, 3]) } },
    { inputs: { x: randomTensor(rng, d, [5, 37]) } },
    { inputs: { x: randomTensor(rng, d, [3, 5, 2]) }, attrs: { axis: 1 } },
    { inputs: { x: randomTensor(rng, d, [2, 1031]) } },
  ]),
  ...floatDTypes.map((d) => ({ inputs: { x: Tensor.from(d, [4, 3], [1, NaN, 3, 2, 2, 1, -Infinity, -Infinity, 0, NaN, 1, NaN]) } })),
  { inputs: { x: Tensor.from("i64", [2], [2n ** 53n, 2n ** 53n + 1n]) } },
  { inputs: { x: Tensor.zeros("u32", [2, 3]) } },
  ...(["f32", "f64"] as const).map((d) => ({ inputs: { x: Tensor.from(d, [3, 3], [-0, 0, -1, 0, -0, 1e-30, 1, 0.5, 0]) } })),
  { inputs: { x: long(16_401, [9000, 12_000], [100, 8192], [16_400]) } },
];

const arg = <const N extends string>(name: N, doc: string, better: (a: number | bigint, b: number | bigint) => boolean) =>
  defineOp({
    name,
    doc,
    inputs: [input("x", "numeric")],
    attrs: { axis: attr.int.default(-1) },
    infer: ({ x }, { axis }) => {
      const a = resolveAxis(name, axis, x.shape.length);
      if (dimMin(x.shape[a] ?? 0) < 1)
        throw new AttrError(name, `axis: expected an axis of at least one element, got ${axis} of [${x.shape.join(", ")}]`);
      return { dtype: "i32", shape: x.shape.toSpliced(a, 1) };
    },
    reference: ({ x }, { axis }, out) => {
      const { outer, length, inner } = lanes(x.shape, axis);
      const at = elements(x);
      for (let o = 0; o < outer; o++)
        for (let i = 0; i < inner; i++) {
          const start = o * length * inner + i;
          let best = 0;
          for (let j = 1; j < length; j++) if (better(at(start + j * inner), at(start + best * inner))) best = j;
          out.set(o * inner + i, best);
        }
    },
    samples: argSamples,
  });

export const argmax = arg("argmax", "Index of the largest element along `axis`, i32; the first one wins, NaN counts as largest.", above);
export const argmin = arg("argmin", "Index of the smallest element along `axis`, i32; the first one wins, NaN counts as largest.", (a, b) =>
  above(b, a),
);

/** Indices of the k largest of `length` elements, descending, ties by the lower index. */
export function largest(at: (i: number) => number | bigint, length: number, k: number): number[] {
  const order = Array.from({ length }, (_, i) => i);
  order.sort((i, j) => (above(at(i), at(j)) ? -1 : above(at(j), at(i)) ? 1 : i - j));
  return order.slice(0, k);
}

export const topk = defineOp({
  name: "topk",
  doc: "The k largest elements of the last axis, descending, ties by the lower index, NaN first: x [..., n] gives values [..., k] and indices i32 [..., k].",
  inputs: [input("x", "numeric")],
  attrs: { k: attr.int.required },
  outputs: ["values", "indices"],
  infer: ({ x }, { k }) => {
    const n: Dim = lastExtent("topk", "x", x);
    if (k < 0 || k > dimMin(n)) throw new AttrError("topk", `k: expected 0 to ${dimMin(n)}, got ${k}`);
    const shape = x.shape.with(-1, k);
    return { values: { dtype: x.dtype, shape }, indices: { dtype: "i32", shape } };
  },
  reference: ({ x }, { k }, { values, indices }) => {
    const n = x.shape.at(-1) ?? 1;
    const at = elements(x);
    for (let row = 0; row * k < values.size; row++)
      for (const [j, i] of largest((c) => at(row * n + c), n, k).entries()) {
        const v = at(row * n + i);
        if (typeof v === "bigint") values.setInt(row * k + j, v);
        else values.set(row * k + j, v);
        indices.set(row * k + j, i);
      }
  },
  samples: (rng) => [
    ...numericDTypes.flatMap((d) => [
      { inputs: { x: randomTensor(rng, d, [1]) }, attrs: { k: 1 } },
      { inputs: { x: randomTensor(rng, d, [0, 5]) }, attrs: { k: 2 } },
      { inputs: { x: randomTensor(rng, d, [3, 5]) }, attrs: { k: 5 } },
      { inputs: { x: randomTensor(rng, d, [2, 3, 129]) }, attrs: { k: 7 } },
      { inputs: { x: randomTensor(rng, d, [2, 3]) }, attrs: { k: 0 } },
    ]),
    ...floatDTypes.map((d) => ({ inputs: { x: Tensor.from(d, [5], [1, NaN, -Infinity, 1, Infinity]) }, attrs: { k: 4 } })),
    { inputs: { x: randomTensor(rng, "i16", [3, 600]) }, attrs: { k: 40 } },
    { inputs: { x: randomTensor(rng, "f16", [2, 16_387]) }, attrs: { k: 7 } },
  ],
});
