import { checkLiteral } from "../check.ts";
import { addDims } from "../dim.ts";
import { isBlock } from "../dtype.ts";
import { AttrError, ShapeError } from "../errors.ts";
import { attr, defineOp, input } from "../op.ts";
import { numericDTypes, randomTensor } from "../samples.ts";
import { showType, stridesOf } from "../shape.ts";

export const pad = defineOp({
  name: "pad",
  doc: "x with before[i] elements of `value` before axis i and after[i] behind it.",
  inputs: [input("x", "any")],
  attrs: { before: attr.ints.required, after: attr.ints.required, value: attr.number.default(0) },
  infer: ({ x }, { before, after, value }) => {
    if (isBlock(x.dtype)) throw new ShapeError("pad", `x: expected a float, integer or bool dtype, got ${showType(x)}`);
    for (const [name, list] of [
      ["before", before],
      ["after", after],
    ] as const)
      if (list.length !== x.shape.length || list.some((n) => n < 0))
        throw new AttrError("pad", `${name}: expected ${x.shape.length} numbers >= 0 for ${showType(x)}, got [${list}]`);
    checkLiteral("pad", "value", value, x.dtype);
    return { dtype: x.dtype, shape: x.shape.map((d, i) => addDims(d, (before[i] ?? 0) + (after[i] ?? 0))) };
  },
  reference: ({ x }, { before, value }, out) => {
    for (let i = 0; i < out.size; i++) out.set(i, value);
    const [from, to] = [stridesOf(x.shape), stridesOf(out.shape)];
    for (let i = 0; i < x.size; i++) {
      let target = 0;
      for (const [d, n] of x.shape.entries()) target += ((Math.floor(i / (from[d] ?? 1)) % n) + (before[d] ?? 0)) * (to[d] ?? 1);
      out.data[target] = x.data[i] ?? 0;
    }
  },
  samples: (rng) =>
    [...numericDTypes, "bool" as const].flatMap((d) => [
      { inputs: { x: randomTensor(rng, d, [3]) }, attrs: { before: [1], after: [2] } },
      { inputs: { x: randomTensor(rng, d, [2, 3]) }, attrs: { before: [0, 0], after: [0, 0] } },
      { inputs: { x: randomTensor(rng, d, [2, 3, 5]) }, attrs: { before: [1, 0, 2], after: [0, 3, 1], value: 7 } },
      { inputs: { x: randomTensor(rng, d, [0, 3]) }, attrs: { before: [1, 0], after: [1, 1] } },
      { inputs: { x: randomTensor(rng, d, []) }, attrs: { before: [], after: [] } },
    ]),
});
