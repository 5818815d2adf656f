import { addDims, dimMax, dimMin, isMultiple, subDims } from "../dim.ts";
import { type DType, dtypes } from "../dtype.ts";
import { AttrError, ShapeError } from "../errors.ts";
import { attr, defineOp, input, variadic } from "../op.ts";
import { numericDTypes, randomTensor } from "../samples.ts";
import { resolveAxis, sameDType, shapeAgrees, showType } from "../shape.ts";
import { copySlabs } from "./copy.ts";

export const slice = defineOp({
  name: "slice",
  doc: "`size` slices of x along `axis` from `start` on: x [A..., n, B...] gives [A..., size, B...]; start + size <= n for every extent in bounds.",
  inputs: [input("x", "any")],
  attrs: { axis: attr.int.required, start: attr.dim.default(0), size: attr.dim.required },
  traits: { subview: ({ axis, start }) => ({ axis, start }) },
  infer: ({ x }, { axis, start, size }) => {
    const a = resolveAxis("slice", axis, x.shape.length);
    const n = x.shape[a] ?? 0;
    if (dimMin(start) < 0) throw new AttrError("slice", `start: expected at least 0, got ${start}`);
    if (dimMin(size) < 0) throw new AttrError("slice", `size: expected at least 0, got ${size}`);
    if (dimMax(subDims(addDims(start, size), n)) > 0)
      throw new ShapeError("slice", `x: expected at least ${addDims(start, size)} along axis ${axis}, got ${showType(x)}`);
    const { blockSize } = dtypes[x.dtype];
    if (a === x.shape.length - 1 && !(isMultiple(start, blockSize) && isMultiple(size, blockSize)))
      throw new AttrError("slice", `start, size: expected multiples of ${blockSize} for ${showType(x)}, got ${start} and ${size}`);
    return { dtype: x.dtype, shape: x.shape.with(a, size) };
  },
  reference: ({ x }, { axis, start, size }, out) =>
    copySlabs(x, Number(start), out, 0, Number(size), axis < 0 ? axis + x.shape.length : axis),
  samples: (rng) => [
    ...[...numericDTypes, "bool" as const].flatMap((d) => [
      { inputs: { x: randomTensor(rng, d, [5, 3]) }, attrs: { axis: 0, start: 1, size: 3 } },
      { inputs: { x: randomTensor(rng, d, [2, 3, 7]) }, attrs: { axis: -1, start: 2, size: 5 } },
      { inputs: { x: randomTensor(rng, d, [2, 3, 7]) }, attrs: { axis: 1, start: 3, size: 0 } },
      { inputs: { x: randomTensor(rng, d, [1, 9]) }, attrs: { axis: 1, start: 8, size: 1 } },
    ]),
    ...(["q8_0", "q4_0"] as const).flatMap((d) => [
      { inputs: { x: randomTensor(rng, d, [4, 96]) }, attrs: { axis: 0, start: 1, size: 2 } },
      { inputs: { x: randomTensor(rng, d, [4, 96]) }, attrs: { axis: 1, start: 32, size: 64 } },
    ]),
  ],
});

export const concat = defineOp({
  name: "concat",
  doc: "Operands one after the other along `axis`; their other extents agree.",
  inputs: [variadic("xs", "any")],
  attrs: { axis: attr.int.required },
  infer: ({ xs }, { axis }) => {
    const [first, ...others] = xs;
    if (!first) throw new ShapeError("concat", "xs: expected at least one operand, got none");
    sameDType("concat", xs);
    const a = resolveAxis("concat", axis, first.shape.length);
    for (const [i, t] of others.entries())
      if (!shapeAgrees(t.shape, first.shape, a))
        throw new ShapeError(
          "concat",
          `xs[${i + 1}]: expected the extents of ${showType(first)} except along axis ${axis}, got ${showType(t)}`,
        );
    return { dtype: first.dtype, shape: first.shape.with(a, xs.map((t) => t.shape[a] ?? 0).reduce(addDims)) };
  },
  reference: ({ xs }, { axis }, out) => {
    const a = axis < 0 ? axis + out.shape.length : axis;
    let to = 0;
    for (const x of xs) {
      const n = x.shape[a] ?? 0;
      copySlabs(x, 0, out, to, n, a);
      to += n;
    }
  },
  samples: (rng) => [
    ...[...numericDTypes, "bool" as const].flatMap((d) => {
      const of = (...shapes: number[][]) => ({ xs: shapes.map((s) => randomTensor(rng, d, s)) });
      return [
        { inputs: of([3]), attrs: { axis: 0 } },
        { inputs: of([2, 3], [0, 3], [1, 3]), attrs: { axis: 0 } },
        { inputs: of([2, 3, 1], [2, 3, 5]), attrs: { axis: -1 } },
        { inputs: of([2, 1, 5], [2, 4, 5], [2, 2, 5]), attrs: { axis: 1 } },
      ];
    }),
    ...(["q8_0", "q4_0"] as const satisfies DType[]).flatMap((d) => [
      { inputs: { xs: [randomTensor(rng, d, [2, 64]), randomTensor(rng, d, [3, 64])] }, attrs: { axis: 0 } },
      { inputs: { xs: [randomTensor(rng, d, [2, 64]), randomTensor(rng, d, [2, 32])] }, attrs: { axis: 1 } },
    ]),
  ],
});
