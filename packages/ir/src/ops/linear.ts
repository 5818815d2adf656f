import type { Builder, Value } from "../builder.ts";
import { dimEquals } from "../dim.ts";
import { ShapeError } from "../errors.ts";
import { defineOp, input, optional } from "../op.ts";
import { floatDTypes, randomTensor, weightDTypes, weightTensor } from "../samples.ts";
import { showType } from "../shape.ts";
import { dot, expectRank, expectShape, lastExtent, product } from "./rules.ts";
import { castTo, widen } from "./widen.ts";

export const linear = defineOp({
  name: "linear",
  doc: "x w^T + bias: x [..., k], w [n, k] in any weight dtype, bias [n], gives [..., n] in x's dtype.",
  inputs: [input("x", "float"), input("w", "weight"), optional("bias", "float")],
  traits: {
    epilogue: true,
    mergeable: { shared: "x", weight: "w", axis: 0 },
    accumulate: { dtype: "f32", length: ([x]) => x?.shape.at(-1) ?? 1, magnitude: "absolute", activations: "x" },
  },
  infer: ({ x, w, bias }) => {
    expectRank("linear", "w", w, 2);
    const [n = 0, k = 0] = w.shape;
    if (!dimEquals(lastExtent("linear", "x", x), k))
      throw new ShapeError("linear", `x: expected a last extent of ${k}, as in w ${showType(w)}, got ${showType(x)}`);
    if (bias) expectShape("linear", "bias", bias, [n]);
    return { dtype: x.dtype, shape: [...x.shape.slice(0, -1), n] };
  },
  reference: ({ x, w, bias }, _, out) => {
    const [n = 0, k = 0] = w.shape;
    const [xv, wv, b] = [x.values(), w.values(), bias?.values()];
    const rows = product(x.shape.slice(0, -1));
    for (let r = 0; r < rows; r++) for (let c = 0; c < n; c++) out.set(r * n + c, dot(xv, r * k, wv, c * k, k) + (b?.[c] ?? 0));
  },
  decompose: (b: Builder, { x, w, bias }: { x: Value; w: Value; bias?: Value | undefined }): Value => {
    const [n = 0, k = 0] = w.shape;
    const v = widen(b, x);
    const rows = x.shape.length === 1 ? b.reshape(v, { shape: [1, k] }) : v;
    const y = b.matmul(rows, b.dequantize(w, { dtype: v.dtype }), { transposeB: true });
    const shaped = x.shape.length === 1 ? b.reshape(y, { shape: [n] }) : y;
    return castTo(b, bias ? b.add(shaped, castTo(b, bias, v.dtype)) : shaped, x.dtype);
  },
  samples: (rng) => [
    ...floatDTypes.flatMap((d) =>
      (
        [
          [[3], 1],
          [[0, 8], 5],
          [[2, 0], 3],
          [[1, 7], 9],
          [[2, 3, 65], 33],
          [[1, 1031], 130],
        ] as const
      ).flatMap(([shape, n]) => {
        const k = shape.at(-1) ?? 1;
        return [
          { inputs: { x: randomTensor(rng, d, shape), w: randomTensor(rng, d, [n, k]) } },
          { inputs: { x: randomTensor(rng, d, shape), w: randomTensor(rng, d, [n, k]), bias: randomTensor(rng, d, [n]) } },
        ];
      }),
    ),
    ...weightDTypes.flatMap((d) =>
      [1, 3, 17].flatMap((rows) => [
        { name: `${d} x${rows}`, inputs: { x: randomTensor(rng, "f32", [rows, 512]), w: weightTensor(rng, d, [37, 512]) } },
        { inputs: { x: randomTensor(rng, "f32", [rows, 256]), w: weightTensor(rng, d, [8, 256]), bias: randomTensor(rng, "f32", [8]) } },
        { inputs: { x: randomTensor(rng, "bf16", [rows, 256]), w: weightTensor(rng, d, [5, 256]) } },
      ]),
    ),
    // Several tiles both ways and along k, none of them whole; then rows of several steps, and weights that end where a simdgroup would begin.
    { inputs: { x: randomTensor(rng, "f32", [2, 21, 36]), w: randomTensor(rng, "f32", [70, 36]), bias: randomTensor(rng, "f32", [70]) } },
    { inputs: { x: randomTensor(rng, "f16", [42, 37]), w: randomTensor(rng, "f16", [70, 37]) } },
    { inputs: { x: randomTensor(rng, "f32", [42, 96]), w: weightTensor(rng, "q8_0", [70, 96]) } },
    { inputs: { x: randomTensor(rng, "f32", [5, 768]), w: weightTensor(rng, "q4_k", [6, 768]) } },
    { inputs: { x: randomTensor(rng, "f32", [2, 1056]), w: weightTensor(rng, "q4_0", [12, 1056]) } },
    // Weights, and rows of x, that no half holds.
    { inputs: { x: randomTensor(rng, "f16", [9, 20], 1e-4), w: randomTensor(rng, "f32", [5, 20], 1e6) } },
    { inputs: { x: randomTensor(rng, "f32", [9, 20], 1e6), w: randomTensor(rng, "f16", [5, 20], 1e-4) } },
  ],
});
