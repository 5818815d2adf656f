import { isBlock } from "../dtype.ts";
import { AttrError } from "../errors.ts";
import { attr, defineOp, input } from "../op.ts";
import { numericDTypes, randomTensor, weightTensor } from "../samples.ts";
import { resolveAxis, showType } from "../shape.ts";
import { Tensor } from "../tensor.ts";
import { copySlabs } from "./copy.ts";
import { indexList } from "./embedding.ts";

export const gather = defineOp({
  name: "gather",
  doc: "Slices of x along `axis` by index: x [A..., n, B...] and indices int [I...] give [A..., I..., B...]. An index outside [0, n) is an error.",
  inputs: [input("x", "any"), input("indices", "int")],
  attrs: { axis: attr.int.default(0) },
  infer: ({ x, indices }, { axis }) => {
    const a = resolveAxis("gather", axis, x.shape.length);
    if (isBlock(x.dtype) && a === x.shape.length - 1)
      throw new AttrError("gather", `axis: expected an axis before the blocks of ${showType(x)}, got ${axis}`);
    return { dtype: x.dtype, shape: [...x.shape.slice(0, a), ...indices.shape, ...x.shape.slice(a + 1)] };
  },
  reference: ({ x, indices }, { axis }, out) => {
    const a = axis < 0 ? axis + x.shape.length : axis;
    const list = indexList("gather", indices, x.shape[a] ?? 0);
    const flat = new Tensor(out.dtype, [...x.shape.slice(0, a), list.length, ...x.shape.slice(a + 1)], out.data);
    for (const [i, from] of list.entries()) copySlabs(x, from, flat, i, 1, a);
  },
  samples: (rng) => [
    ...[...numericDTypes, "bool" as const].flatMap((d) => [
      { inputs: { x: randomTensor(rng, d, [5, 3]), indices: Tensor.from("i32", [4], [4, 0, 0, 2]) } },
      { inputs: { x: randomTensor(rng, d, [2, 3, 5]), indices: Tensor.from("i64", [2, 1], [1, 2]) }, attrs: { axis: 1 } },
      { inputs: { x: randomTensor(rng, d, [3, 7]), indices: Tensor.from("u8", [], [6]) }, attrs: { axis: -1 } },
    ]),
    { inputs: { x: weightTensor(rng, "q8_0", [5, 64]), indices: Tensor.from("i32", [2], [3, 1]) } },
    { inputs: { x: randomTensor(rng, "f32", [4, 2]), indices: Tensor.zeros("i32", [0]) } },
    { inputs: { x: randomTensor(rng, "f32", [4, 0]), indices: Tensor.from("i32", [2], [3, 1]) } },
    { inputs: { x: randomTensor(rng, "f32", [0, 4, 3]), indices: Tensor.from("i32", [2], [3, 1]) }, attrs: { axis: 1 } },
  ],
});
