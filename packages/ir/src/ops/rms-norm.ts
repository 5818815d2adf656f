import type { Builder, Value } from "../builder.ts";
import { attr, defineOp, input, optional } from "../op.ts";
import { floatDTypes, randomTensor } from "../samples.ts";
import { checkNorm, rmsScale } from "./norm-rules.ts";
import { lastExtent } from "./rules.ts";
import { castTo, widen } from "./widen.ts";

export const rmsNorm = defineOp({
  name: "rms_norm",
  doc: "x / sqrt(mean(x^2) + eps) * weight over the last axis (Zhang and Sennrich 2019): x [..., n], weight [n].",
  inputs: [input("x", "float"), optional("weight", "float")],
  attrs: { eps: attr.number.default(1e-5) },
  traits: { accumulate: { dtype: "f32", length: ([x]) => x?.shape.at(-1) ?? 1, magnitude: "relative" }, inPlace: ["x"] },
  infer: ({ x, weight }, { eps }) => {
    checkNorm("rms_norm", lastExtent("rms_norm", "x", x), eps, { weight });
    return x;
  },
  reference: ({ x, weight }, { eps }, out) => {
    const n = x.shape.at(-1) ?? 1;
    const [v, w] = [x.values(), weight?.values()];
    for (let row = 0; row < v.length; row += n) {
      const scale = rmsScale(v, row, n, eps);
      for (let i = 0; i < n; i++) out.set(row + i, (v[row + i] ?? 0) * scale * (w?.[i] ?? 1));
    }
  },
  decompose: (b: Builder, { x, weight }: { x: Value; weight?: Value | undefined }, { eps }: { eps: number }): Value => {
    const v = widen(b, x);
    const scale = b.rsqrt(b.add(b.reduceMean(b.square(v), { axes: [-1], keepDims: true }), eps));
    const normed = b.mul(v, scale);
    return castTo(b, weight ? b.mul(normed, castTo(b, weight, v.dtype)) : normed, x.dtype);
  },
  samples: (rng) => [
    ...floatDTypes.flatMap((d) =>
      [[0, 4], [1], [3, 7], [2, 5, 64], [2, 1031]].flatMap((shape) => [
        { inputs: { x: randomTensor(rng, d, shape), weight: randomTensor(rng, d, shape.slice(-1)) } },
        { inputs: { x: randomTensor(rng, d, shape) }, attrs: { eps: 1e-6 } },
      ]),
    ),
    { inputs: { x: randomTensor(rng, "f16", [3, 260]), weight: randomTensor(rng, "f32", [260]) } },
  ],
});
