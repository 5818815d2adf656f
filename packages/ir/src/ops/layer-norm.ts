import type { Builder, Value } from "../builder.ts";
import { maxAbs } from "../magnitude.ts";
import { attr, defineOp, input, optional } from "../op.ts";
import { floatDTypes, randomTensor } from "../samples.ts";
import { checkNorm, largestScale, moments, type NormOperands } from "./norm-rules.ts";
import { lastExtent } from "./rules.ts";
import { castTo, widen } from "./widen.ts";

export const layerNorm = defineOp({
  name: "layer_norm",
  doc: "(x - mean) / sqrt(variance + eps) * weight + bias over the last axis (Ba et al. 2016): x [..., n], weight and bias [n].",
  inputs: [input("x", "float"), optional("weight", "float"), optional("bias", "float")],
  attrs: { eps: attr.number.default(1e-5) },
  traits: {
    inPlace: ["x"],
    accumulate: {
      dtype: "f32",
      length: ([x]) => x?.shape.at(-1) ?? 1,
      magnitude: ({ x, weight, bias }, { eps }) => {
        const m = maxAbs(x) * largestScale(x, x.shape.at(-1) ?? 1, eps) * (weight ? maxAbs(weight) : 1) + maxAbs(bias);
        return () => m;
      },
    },
  },
  infer: ({ x, weight, bias }, { eps }) => {
    checkNorm("layer_norm", lastExtent("layer_norm", "x", x), eps, { weight, bias });
    return x;
  },
  reference: ({ x, weight, bias }, { eps }, out) => {
    const n = x.shape.at(-1) ?? 1;
    const [v, w, b] = [x.values(), weight?.values(), bias?.values()];
    for (let row = 0; row < v.length; row += n) {
      const { mean, scale } = moments(v, row, n, eps);
      for (let i = 0; i < n; i++) out.set(row + i, ((v[row + i] ?? 0) - mean) * scale * (w?.[i] ?? 1) + (b?.[i] ?? 0));
    }
  },
  decompose: (b: Builder, { x, weight, bias }: NormOperands<Value>, { eps }: { eps: number }): Value => {
    const v = widen(b, x);
    const centred = b.sub(v, b.reduceMean(v, { axes: [-1], keepDims: true }));
    const variance = b.reduceMean(b.square(centred), { axes: [-1], keepDims: true });
    const normed = b.mul(centred, b.rsqrt(b.add(variance, eps)));
    const scaled = weight ? b.mul(normed, castTo(b, weight, v.dtype)) : normed;
    return castTo(b, bias ? b.add(scaled, castTo(b, bias, v.dtype)) : scaled, x.dtype);
  },
  samples: (rng) => [
    ...floatDTypes.flatMap((d) =>
      [[0, 4], [1], [3, 7], [2, 5, 64], [2, 1031]].flatMap((shape) => {
        const n = shape.slice(-1);
        const x = randomTensor(rng, d, shape);
        return [
          { inputs: { x, weight: randomTensor(rng, d, n), bias: randomTensor(rng, d, n) } },
          { inputs: { x, weight: randomTensor(rng, d, n) } },
          { inputs: { x }, attrs: { eps: 1e-12 } },
        ];
      }),
    ),
    { inputs: { x: randomTensor(rng, "bf16", [3, 260]), weight: randomTensor(rng, "f32", [260]), bias: randomTensor(rng, "f16", [260]) } },
  ],
});
