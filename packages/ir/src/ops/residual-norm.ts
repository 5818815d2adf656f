import type { Builder, Value } from "../builder.ts";
import { maxAbs } from "../magnitude.ts";
import { attr, defineOp, input, optional, type TensorType } from "../op.ts";
import { floatDTypes, randomTensor } from "../samples.ts";
import { sameDType } from "../shape.ts";
import { Tensor } from "../tensor.ts";
import { checkNorm, largestScale, moments, type NormOperands, rmsScale } from "./norm-rules.ts";
import { expectShape, lastExtent } from "./rules.ts";

interface Operands<V> extends NormOperands<V> {
  readonly residual: V;
}
const shapes = [[0, 4], [1], [3, 7], [2, 5, 64], [2, 1031]];

function infer(op: string, x: TensorType, residual: TensorType, eps: number, affine: Readonly<Record<string, TensorType | undefined>>) {
  sameDType(op, [x, residual]);
  expectShape(op, "residual", residual, x.shape);
  checkNorm(op, lastExtent(op, "x", x), eps, affine);
  return { sum: x, normed: x };
}

/** x + residual, rounded to the dtype: the norm reads what the sum output holds. */
function addInto(x: Tensor, residual: Tensor, sum: Tensor): void {
  const [a, b] = [x.values(), residual.values()];
  for (let i = 0; i < a.length; i++) sum.set(i, (a[i] ?? 0) + (b[i] ?? 0));
}

/** How far an error of the sum can reach: its own size, and that of the normed rows. */
function magnitude({ x, residual, weight, bias }: Operands<Tensor>, eps: number): number {
  const sum = Tensor.zeros(x.dtype, x.shape);
  addInto(x, residual, sum);
  const size = maxAbs(x) + maxAbs(residual);
  return size + size * largestScale(sum, x.shape.at(-1) ?? 1, eps) * (weight ? maxAbs(weight) : 1) + maxAbs(bias);
}

export const residualRmsNorm = defineOp({
  name: "residual_rms_norm",
  doc: "sum = x + residual and normed = rms_norm(sum) * weight: x, residual [..., n], weight [n].",
  inputs: [input("x", "float"), input("residual", "float"), optional("weight", "float")],
  attrs: { eps: attr.number.default(1e-5) },
  outputs: ["sum", "normed"],
  traits: {
    inPlace: ["x", "residual"],
    accumulate: {
      dtype: "f32",
      length: ([x]) => x?.shape.at(-1) ?? 1,
      magnitude: (inputs, { eps }) => {
        const m = magnitude(inputs, eps);
        return () => m;
      },
    },
  },
  infer: ({ x, residual, weight }, { eps }) => infer("residual_rms_norm", x, residual, eps, { weight }),
  reference: ({ x, residual, weight }, { eps }, { sum, normed }) => {
    const n = x.shape.at(-1) ?? 1;
    addInto(x, residual, sum);
    const [v, w] = [sum.values(), weight?.values()];
    for (let row = 0; row < v.length; row += n) {
      const scale = rmsScale(v, row, n, eps);
      for (let i = 0; i < n; i++) normed.set(row + i, (v[row + i] ?? 0) * scale * (w?.[i] ?? 1));
    }
  },
  decompose: (b: Builder, { x, residual, weight }: Operands<Value>, { eps }: { eps: number }): { sum: Value; normed: Value } => {
    const sum = b.add(x, residual);
    return { sum, normed: b.rmsNorm(sum, { weight, eps }) };
  },
  samples: (rng) => [
    ...floatDTypes.flatMap((d) =>
      shapes.flatMap((shape) => [
        {
          inputs: { x: randomTensor(rng, d, shape), residual: randomTensor(rng, d, shape), weight: randomTensor(rng, d, shape.slice(-1)) },
        },
        { inputs: { x: randomTensor(rng, d, shape), residual: randomTensor(rng, d, shape) }, attrs: { eps: 1e-6 } },
      ]),
    ),
    {
      inputs: {
        x: randomTensor(rng, "f16", [3, 260]),
        residual: randomTensor(rng, "f16", [3, 260]),
        weight: randomTensor(rng, "f32", [260]),
      },
    },
  ],
});

export const residualLayerNorm = defineOp({
  name: "residual_layer_norm",
  doc: "sum = x + residual and normed = layer_norm(sum): x, residual [..., n], weight and bias [n].",
  inputs: [input("x", "float"), input("residual", "float"), optional("weight", "float"), optional("bias", "float")],
  attrs: { eps: attr.number.default(1e-5) },
  outputs: ["sum", "normed"],
  traits: {
    inPlace: ["x", "residual"],
    accumulate: {
      dtype: "f32",
      length: ([x]) => x?.shape.at(-1) ?? 1,
      magnitude: (inputs, { eps }) => {
        const m = magnitude(inputs, eps);
        return () => m;
      },
    },
  },
  infer: ({ x, residual, weight, bias }, { eps }) => infer("residual_layer_norm", x, residual, eps, { weight, bias }),
  reference: ({ x, residual, weight, bias }, { eps }, { sum, normed }) => {
    const n = x.shape.at(-1) ?? 1;
    addInto(x, residual, sum);
    const [v, w, b] = [sum.values(), weight?.values(), bias?.values()];
    for (let row = 0; row < v.length; row += n) {
      const { mean, scale } = moments(v, row, n, eps);
      for (let i = 0; i < n; i++) normed.set(row + i, ((v[row + i] ?? 0) - mean) * scale * (w?.[i] ?? 1) + (b?.[i] ?? 0));
    }
  },
  decompose: (b: Builder, { x, residual, weight, bias }: Operands<Value>, { eps }: { eps: number }): { sum: Value; normed: Value } => {
    const sum = b.add(x, residual);
    return { sum, normed: b.layerNorm(sum, { weight, bias, eps }) };
  },
  samples: (rng) => [
    ...floatDTypes.flatMap((d) =>
      shapes.flatMap((shape) => {
        const both = { x: randomTensor(rng, d, shape), residual: randomTensor(rng, d, shape) };
        const n = shape.slice(-1);
        return [
          { inputs: { ...both, weight: randomTensor(rng, d, n), bias: randomTensor(rng, d, n) } },
          { inputs: both, attrs: { eps: 1e-12 } },
        ];
      }),
    ),
    {
      inputs: {
        x: randomTensor(rng, "bf16", [3, 259]),
        residual: randomTensor(rng, "bf16", [3, 259]),
        weight: randomTensor(rng, "f32", [259]),
        bias: randomTensor(rng, "f16", [259]),
      },
    },
  ],
});
