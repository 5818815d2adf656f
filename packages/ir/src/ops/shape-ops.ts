import { type Dim, dimEquals, productOf } from "../dim.ts";
import { type DType, isBlock } from "../dtype.ts";
import { broadcastStrides } from "../elementwise.ts";
import { AttrError, ShapeError } from "../errors.ts";
import { attr, defineOp, input, type TensorType } from "../op.ts";
import { numericDTypes, randomTensor } from "../samples.ts";
import { showShape, showType, stridesOf } from "../shape.ts";
import { copyStrided } from "./copy.ts";
import { expectBroadcast } from "./rules.ts";

const anyDTypes = [...numericDTypes, "bool", "q8_0"] as const satisfies readonly DType[];
const wide = (d: DType, shape: readonly number[]): number[] => shape.map((n, i) => (isBlock(d) && i === shape.length - 1 ? n * 32 : n));

/** Blocks lie along the last axis: an op that moves elements must keep that axis whole. */
function keepBlocks(op: string, x: TensorType, shape: readonly Dim[]): void {
  const [before, after] = [x.shape.at(-1), shape.at(-1)];
  if (isBlock(x.dtype) && (before === undefined || after === undefined || !dimEquals(before, after)))
    throw new ShapeError(op, `x: expected the last axis of a block format to stay, got ${showType(x)} to ${showShape(shape)}`);
}

export const reshape = defineOp({
  name: "reshape",
  doc: "x with another shape of the same number of elements, row-major.",
  inputs: [input("x", "any")],
  attrs: { shape: attr.dims.required },
  traits: { view: true, inPlace: ["x"] },
  infer: ({ x }, { shape }) => {
    if (!dimEquals(productOf(x.shape), productOf(shape)))
      throw new ShapeError(
        "reshape",
        `x: expected ${productOf(shape)} elements for ${showShape(shape)}, got ${productOf(x.shape)} in ${showType(x)}`,
      );
    keepBlocks("reshape", x, shape);
    return { dtype: x.dtype, shape };
  },
  reference: ({ x }, _, out) => out.bytes.set(x.bytes),
  samples: (rng) =>
    anyDTypes.flatMap((d) => [
      { inputs: { x: randomTensor(rng, d, wide(d, [2, 3, 4])) }, attrs: { shape: wide(d, [3, 2, 4]) } },
      { inputs: { x: randomTensor(rng, d, wide(d, [1])) }, attrs: { shape: isBlock(d) ? [1, 32] : [] } },
      { inputs: { x: randomTensor(rng, d, wide(d, [0, 4])) }, attrs: { shape: wide(d, [2, 0, 4]) } },
    ]),
});

export const transpose = defineOp({
  name: "transpose",
  doc: "Permuted axes: axis i of the result is axis perm[i] of x.",
  inputs: [input("x", "any")],
  attrs: { perm: attr.ints.required },
  infer: ({ x }, { perm }) => {
    const rank = x.shape.length;
    if (perm.length !== rank || !x.shape.every((_, i) => perm.includes(i)))
      throw new AttrError("transpose", `perm: expected a permutation of 0 to ${rank - 1} for ${showType(x)}, got [${perm}]`);
    if (isBlock(x.dtype) && perm.at(-1) !== rank - 1)
      throw new AttrError("transpose", `perm: expected the last axis of ${showType(x)} to stay last, got [${perm}]`);
    return { dtype: x.dtype, shape: perm.map((p) => x.shape[p] ?? 1) };
  },
  reference: ({ x }, { perm }, out) => {
    const strides = stridesOf(x.shape);
    copyStrided(
      x,
      out,
      perm.map((p) => strides[p] ?? 0),
      perm.length > 0 && perm.at(-1) === perm.length - 1,
    );
  },
  samples: (rng) => [
    ...anyDTypes.flatMap((d) => [
      { inputs: { x: randomTensor(rng, d, wide(d, [2, 3, 5])) }, attrs: { perm: [1, 0, 2] } },
      { inputs: { x: randomTensor(rng, d, wide(d, [0, 3])) }, attrs: { perm: [0, 1] } },
    ]),
    ...numericDTypes.flatMap((d) => [
      { inputs: { x: randomTensor(rng, d, [2, 3, 5]) }, attrs: { perm: [2, 1, 0] } },
      { inputs: { x: randomTensor(rng, d, [2, 3, 4, 5]) }, attrs: { perm: [0, 3, 1, 2] } },
      { inputs: { x: randomTensor(rng, d, [65, 33]) }, attrs: { perm: [1, 0] } },
      { inputs: { x: randomTensor(rng, d, []) }, attrs: { perm: [] } },
    ]),
    // Three long axes, of which two change places.
    { inputs: { x: randomTensor(rng, "f16", [17, 19, 18]) }, attrs: { perm: [0, 2, 1] } },
  ],
});

export const expand = defineOp({
  name: "expand",
  doc: "x broadcast to `shape`: axes are right-aligned, extents of 1 repeat.",
  inputs: [input("x", "any")],
  attrs: { shape: attr.dims.required },
  infer: ({ x }, { shape }) => {
    expectBroadcast("expand", "x", x, shape);
    keepBlocks("expand", x, shape);
    return { dtype: x.dtype, shape };
  },
  reference: ({ x }, _, out) => {
    const whole = x.shape.length > 0 && x.shape.at(-1) === out.shape.at(-1);
    copyStrided(x, out, broadcastStrides(x.shape, out.shape), whole);
  },
  samples: (rng) =>
    anyDTypes.flatMap((d) => [
      { inputs: { x: randomTensor(rng, d, wide(d, [2, 1, 3])) }, attrs: { shape: wide(d, [2, 4, 3]) } },
      { inputs: { x: randomTensor(rng, d, isBlock(d) ? [32] : [1]) }, attrs: { shape: isBlock(d) ? [3, 32] : [3, 5] } },
      { inputs: { x: randomTensor(rng, d, isBlock(d) ? [1, 32] : []) }, attrs: { shape: isBlock(d) ? [0, 32] : [7] } },
    ]),
});
