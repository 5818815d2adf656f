import type { Builder, Value } from "../builder.ts";
import { divDims, mulDims, productOf } from "../dim.ts";
import { AttrError, ShapeError } from "../errors.ts";
import { maxAbs } from "../magnitude.ts";
import { attr, defineOp, input, optional } from "../op.ts";
import { floatDTypes, randomTensor } from "../samples.ts";
import { showType } from "../shape.ts";
import { checkNorm, largestScale, moments, type NormOperands } from "./norm-rules.ts";
import { product } from "./rules.ts";
import { castTo, widen } from "./widen.ts";

export const groupNorm = defineOp({
  name: "group_norm",
  doc: "layer_norm over each of `groups` runs of channels and all positions (Wu and He 2018): x [N, C, ...], weight and bias [C].",
  inputs: [input("x", "float"), optional("weight", "float"), optional("bias", "float")],
  attrs: { groups: attr.int.required, eps: attr.number.default(1e-5) },
  traits: {
    inPlace: ["x"],
    accumulate: {
      dtype: "f32",
      length: ([x], { groups }) => divDims(productOf(x?.shape.slice(1) ?? []), groups) ?? 1,
      magnitude: ({ x, weight, bias }, { groups, eps }) => {
        const n = product(x.shape.slice(1)) / groups;
        const m = maxAbs(x) * largestScale(x, n, eps) * (weight ? maxAbs(weight) : 1) + maxAbs(bias);
        return () => m;
      },
    },
  },
  infer: ({ x, weight, bias }, { groups, eps }) => {
    const channels = x.shape[1];
    if (channels === undefined) throw new ShapeError("group_norm", `x: expected [N, C, ...], got ${showType(x)}`);
    if (groups < 1 || divDims(channels, groups) === undefined)
      throw new AttrError("group_norm", `groups: expected a divisor of the ${channels} channels of x ${showType(x)}, got ${groups}`);
    checkNorm("group_norm", channels, eps, { weight, bias });
    return x;
  },
  reference: ({ x, weight, bias }, { groups, eps }, out) => {
    const channels = x.shape[1] ?? 1;
    const positions = product(x.shape.slice(2));
    const n = (channels / groups) * positions;
    const [v, w, b] = [x.values(), weight?.values(), bias?.values()];
    for (let start = 0; start < v.length; start += n) {
      const { mean, scale } = moments(v, start, n, eps);
      for (let i = start; i < start + n; i++) {
        const c = Math.floor(i / positions) % channels;
        out.set(i, ((v[i] ?? 0) - mean) * scale * (w?.[c] ?? 1) + (b?.[c] ?? 0));
      }
    }
  },
  decompose: (b: Builder, { x, weight, bias }: NormOperands<Value>, { groups, eps }: { groups: number; eps: number }): Value => {
    const [batch = 1, channels = 1, ...rest] = x.shape;
    const perGroup = divDims(channels, groups) ?? 1;
    const v = widen(b, x);
    const grouped = b.reshape(v, { shape: [batch, groups, mulDims(perGroup, productOf(rest))] });
    const normed = b.reshape(b.layerNorm(grouped, { eps }), { shape: x.shape });
    const perChannel = (t: Value): Value => b.reshape(castTo(b, t, v.dtype), { shape: [channels, ...rest.map(() => 1)] });
    const scaled = weight ? b.mul(normed, perChannel(weight)) : normed;
    return castTo(b, bias ? b.add(scaled, perChannel(bias)) : scaled, x.dtype);
  },
  samples: (rng) =>
    floatDTypes.flatMap((d) =>
      (
        [
          [[1, 1], 1],
          [[0, 4, 3], 2],
          [[2, 6, 5], 3],
          [[2, 4, 3, 7], 2],
          [[1, 32, 33], 4],
        ] as const
      ).flatMap(([shape, groups]) => {
        const x = randomTensor(rng, d, shape);
        const affine = { weight: randomTensor(rng, d, [shape[1]]), bias: randomTensor(rng, d, [shape[1]]) };
        return [
          { inputs: { x, ...affine }, attrs: { groups } },
          { inputs: { x }, attrs: { groups, eps: 1e-3 } },
        ];
      }),
    ),
});
