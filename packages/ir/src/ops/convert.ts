import { checkLiteral } from "../check.ts";
import { isBlock, isFloat } from "../dtype.ts";
import { defineElementwise } from "../elementwise.ts";
import { AttrError, ShapeError } from "../errors.ts";
import { attr, defineOp, input } from "../op.ts";
import { floatDTypes, numericDTypes, randomTensor, unaryShapes, weightDTypes, weightTensor } from "../samples.ts";
import { Tensor } from "../tensor.ts";

const edges = [
  0,
  -0,
  0.5,
  1.5,
  -1.5,
  2.5,
  1e-8,
  65519,
  65520,
  3e9,
  -3e9,
  1e19,
  -1e19,
  Infinity,
  -Infinity,
  NaN,
  2 ** -24,
  2 ** -25,
  1 + 2 ** -11,
  127,
  255,
  32767,
  2 ** 31,
  2 ** 32,
  2 ** 63,
  // Halfway between two numbers of bf16, and a little more.
  2 ** 24 + 2 ** 16,
  2 ** 40 + 2 ** 32 + 1,
];

export const cast = defineElementwise({
  name: "cast",
  doc: "x in another dtype: floats round to nearest even, float to integer truncates toward zero, saturates and gives 0 for NaN, integers wrap, bool tests x != 0.",
  inputs: [input("x", "any")],
  attrs: { dtype: attr.dtype.required },
  dtype: ([from = "f32"], { dtype }) => {
    if (isBlock(from)) throw new ShapeError("cast", `x: expected a float, integer or bool dtype, got ${from}: use dequantize`);
    if (isBlock(dtype)) throw new AttrError("cast", `dtype: expected a float, integer or bool dtype, got ${dtype}`);
    return dtype;
  },
  expr: (_, [x = 0]) => x,
  samples: (rng) => {
    const all = [...numericDTypes, "bool"] as const;
    return all.flatMap((from) =>
      all.flatMap((dtype) => [
        ...[[0], [], [3, 7]].map((shape) => ({ inputs: { x: randomTensor(rng, from, shape, 20) }, attrs: { dtype } })),
        { inputs: { x: Tensor.from(from, [edges.length], edges) }, attrs: { dtype } },
      ]),
    );
  },
});

export const clamp = defineElementwise({
  name: "clamp",
  doc: "min(max(x, min), max), each bound if given; NaN stays.",
  inputs: [input("x", "numeric")],
  attrs: { min: attr.number.optional, max: attr.number.optional },
  dtype: ([d = "f32"], { min, max }) => {
    for (const [name, v] of [
      ["min", min],
      ["max", max],
    ] as const)
      if (v !== undefined) checkLiteral("clamp", name, v, d);
    if (min !== undefined && max !== undefined && min > max) throw new AttrError("clamp", `max: expected at least min ${min}, got ${max}`);
    return d;
  },
  expr: (s, [x = 0], { min, max }) => {
    const low = min === undefined ? x : s.max(x, s.c(min));
    return max === undefined ? low : s.min(low, s.c(max));
  },
  samples: (rng) =>
    numericDTypes.flatMap((d) => [
      ...unaryShapes.map((shape) => ({ inputs: { x: randomTensor(rng, d, shape) }, attrs: { min: 0, max: 1 } })),
      { inputs: { x: randomTensor(rng, d, [9]) }, attrs: { min: 1 } },
      { inputs: { x: randomTensor(rng, d, [9]) }, attrs: { max: 3 } },
      { inputs: { x: randomTensor(rng, d, [9]) } },
    ]),
});

export const dequantize = defineOp({
  name: "dequantize",
  doc: "A weight in any weight dtype as floats of `dtype`; meant for weight expressions, which are evaluated once.",
  inputs: [input("w", "weight")],
  attrs: { dtype: attr.dtype.default("f32") },
  infer: ({ w }, { dtype }) => {
    if (!isFloat(dtype)) throw new AttrError("dequantize", `dtype: expected a float dtype, got ${dtype}`);
    return { dtype, shape: w.shape };
  },
  reference: ({ w }, _, out) => {
    for (const [i, v] of w.values().entries()) out.set(i, v);
  },
  samples: (rng) => [
    ...weightDTypes.flatMap((d) => floatDTypes.map((dtype) => ({ inputs: { w: weightTensor(rng, d, [3, 512]) }, attrs: { dtype } }))),
    // Rows of quads, and of others, that end within sixteen elements.
    ...[36, 37].map((width) => ({ inputs: { w: randomTensor(rng, "f32", [5, width]) }, attrs: { dtype: "f16" as const } })),
  ],
});
