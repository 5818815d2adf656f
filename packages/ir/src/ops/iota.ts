import { isFloat, isInt } from "../dtype.ts";
import { AttrError } from "../errors.ts";
import { attr, defineOp } from "../op.ts";
import { numericDTypes } from "../samples.ts";
import { resolveAxis } from "../shape.ts";
import { lanes } from "./rules.ts";

export const iota = defineOp({
  name: "iota",
  doc: "0, 1, 2, ... along `axis` of `shape`, the same along the others.",
  inputs: [],
  attrs: { shape: attr.dims.required, axis: attr.int.default(-1), dtype: attr.dtype.default("i32") },
  infer: (_, { shape, axis, dtype }) => {
    resolveAxis("iota", axis, shape.length);
    if (!isInt(dtype) && !isFloat(dtype)) throw new AttrError("iota", `dtype: expected an integer or float dtype, got ${dtype}`);
    return { dtype, shape };
  },
  reference: (_, { axis }, out) => {
    const { outer, length, inner } = lanes(out.shape, axis);
    for (let o = 0; o < outer; o++)
      for (let j = 0; j < length; j++) for (let i = 0; i < inner; i++) out.setInt((o * length + j) * inner + i, BigInt(j));
  },
  samples: () =>
    numericDTypes.flatMap((dtype) => [
      { inputs: {}, attrs: { shape: [7], dtype } },
      { inputs: {}, attrs: { shape: [3, 5, 2], axis: 1, dtype } },
      { inputs: {}, attrs: { shape: [0, 2], axis: 0, dtype } },
    ]),
});
