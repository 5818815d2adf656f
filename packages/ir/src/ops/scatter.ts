import { addDims, productOf, shapeEquals } from "../dim.ts";
import { isBlock, isInt } from "../dtype.ts";
import { AttrError, ShapeError } from "../errors.ts";
import { attr, defineOp, input } from "../op.ts";
import { numericDTypes, randomTensor } from "../samples.ts";
import { resolveAxis, sameDType, showShape, showType } from "../shape.ts";
import { Tensor } from "../tensor.ts";
import { indexList } from "./embedding.ts";
import { product } from "./rules.ts";

export const scatter = defineOp({
  name: "scatter",
  doc: "x [A..., n, B...] with slices along `axis` replaced (add: increased) by updates [A..., I..., B...] at indices int [I...]; in order, so the last one wins. An index outside [0, n) is an error.",
  inputs: [input("x", "any"), input("indices", "int"), input("updates", "any")],
  attrs: { axis: attr.int.default(0), reduce: attr.oneOf("none", "add") },
  traits: {
    inPlace: ["x"],
    accumulate: {
      dtype: "f32",
      length: ([, indices], { reduce }) => (reduce === "add" ? addDims(productOf(indices?.shape ?? []), 1) : 0),
      magnitude: "absolute",
    },
  },
  infer: ({ x, indices, updates }, { axis, reduce }) => {
    sameDType("scatter", [x, updates]);
    const a = resolveAxis("scatter", axis, x.shape.length);
    if (isBlock(x.dtype)) throw new ShapeError("scatter", `x: expected a float, integer or bool dtype, got ${showType(x)}`);
    if (reduce === "add" && x.dtype === "bool") throw new AttrError("scatter", `reduce: expected "none" for ${showType(x)}, got "add"`);
    const want = [...x.shape.slice(0, a), ...indices.shape, ...x.shape.slice(a + 1)];
    if (!shapeEquals(updates.shape, want))
      throw new ShapeError("scatter", `updates: expected ${showShape(want)}, got ${showType(updates)}`);
    return x;
  },
  reference: ({ x, indices, updates }, { axis, reduce }, out) => {
    const a = axis < 0 ? axis + x.shape.length : axis;
    const extent = x.shape[a] ?? 0;
    const list = indexList("scatter", indices, extent);
    const [outer, inner] = [product(x.shape.slice(0, a)), product(x.shape.slice(a + 1))];
    // Sums are kept in f64 (or exact) until all updates are in.
    const exact = isInt(x.dtype) ? Array.from({ length: x.size }, (_, i) => x.getInt(i)) : [];
    const sums = isInt(x.dtype) ? new Float64Array(0) : Float64Array.from(x.values());
    for (let o = 0; o < outer; o++)
      for (const [j, index] of list.entries())
        for (let i = 0; i < inner; i++) {
          const target = (o * extent + index) * inner + i;
          const source = (o * list.length + j) * inner + i;
          if (isInt(x.dtype)) exact[target] = (reduce === "add" ? (exact[target] ?? 0n) : 0n) + updates.getInt(source);
          else sums[target] = reduce === "add" ? (sums[target] ?? 0) + updates.get(source) : updates.get(source);
        }
    for (const [i, v] of exact.entries()) out.setInt(i, v);
    for (const [i, v] of sums.entries()) out.set(i, v);
  },
  samples: (rng) => [
    ...numericDTypes.flatMap((d) =>
      (["none", "add"] as const).flatMap((reduce) => [
        {
          inputs: {
            x: randomTensor(rng, d, [5, 3]),
            indices: Tensor.from("i32", [4], [4, 0, 0, 2]),
            updates: randomTensor(rng, d, [4, 3]),
          },
          attrs: { reduce },
        },
        {
          inputs: {
            x: randomTensor(rng, d, [2, 3, 5]),
            indices: Tensor.from("i64", [2, 1], [1, 2]),
            updates: randomTensor(rng, d, [2, 2, 1, 5]),
          },
          attrs: { axis: 1, reduce },
        },
        {
          inputs: { x: randomTensor(rng, d, [3, 7]), indices: Tensor.from("u8", [], [6]), updates: randomTensor(rng, d, [3]) },
          attrs: { axis: -1, reduce },
        },
        {
          inputs: { x: randomTensor(rng, d, [3, 2]), indices: Tensor.zeros("i32", [0]), updates: randomTensor(rng, d, [0, 2]) },
          attrs: { reduce },
        },
      ]),
    ),
    { inputs: { x: randomTensor(rng, "bool", [5]), indices: Tensor.from("i32", [2], [4, 1]), updates: randomTensor(rng, "bool", [2]) } },
    ...(["none", "add"] as const).flatMap((reduce) =>
      [[2, 6, 35] as const, [0, 6, 2] as const, [2, 6, 0] as const].map(([outer, extent, slice]) => ({
        // The same ones again and again, farther apart than a simdgroup is wide, and one of them only at both ends.
        inputs: {
          x: randomTensor(rng, "f32", [outer, extent, slice]),
          indices: Tensor.from(
            "i32",
            [40],
            Array.from({ length: 40 }, (_, i) => (i % 39 === 0 ? 5 : i % 5)),
          ),
          updates: randomTensor(rng, "f32", [outer, 40, slice]),
        },
        attrs: { axis: 1, reduce },
      })),
    ),
  ],
});
