import type { Builder, Value } from "../builder.ts";
import { addDims, type Dim, dimEquals, dimMin, divDims, floorDivDims, mulDims, productOf } from "../dim.ts";
import { AttrError, ShapeError } from "../errors.ts";
import { attr, defineOp, input, optional, type TensorType } from "../op.ts";
import { floatDTypes, randomTensor } from "../samples.ts";
import { showType } from "../shape.ts";
import { Tensor } from "../tensor.ts";
import { expectRank, expectShape } from "./rules.ts";
import { castTo, widen } from "./widen.ts";

/** How the taps of a filter lie on the padded signal. */
interface Taps {
  readonly stride: number;
  readonly padding: number;
  readonly dilation: number;
  readonly groups: number;
}

/** floor((L + 2 padding - dilation (K - 1) - 1) / stride) + 1, which must be an extent again and never negative. */
function outputLength(x: TensorType, taps: number, { stride, padding, dilation }: Taps): Dim {
  const span = addDims(x.shape[2] ?? 0, 2 * padding - dilation * (taps - 1) - 1);
  const steps = floorDivDims(span, stride);
  if (steps === undefined)
    throw new ShapeError("conv1d", `x: expected a length whose symbols count in multiples of stride ${stride}, got ${showType(x)}`);
  const length = addDims(steps, 1);
  if (dimMin(length) < 0)
    throw new ShapeError(
      "conv1d",
      `x: expected a length of at least ${dilation * (taps - 1) + 1 - 2 * padding - stride}, got ${showType(x)}`,
    );
  return length;
}

export const conv1d = defineOp({
  name: "conv1d",
  doc:
    "Cross-correlation with zero padding on both sides: x [N, Cin, L], w [Cout, Cin/groups, K], bias [Cout], gives [N, Cout, Lout] in x's dtype; " +
    "Lout = floor((L + 2 padding - dilation (K - 1) - 1) / stride) + 1. Output channels in group g see the input channels of group g.",
  inputs: [input("x", "float"), input("w", "float"), optional("bias", "float")],
  attrs: {
    stride: attr.int.default(1),
    padding: attr.int.default(0),
    dilation: attr.int.default(1),
    groups: attr.int.default(1),
  },
  traits: {
    epilogue: true,
    accumulate: { dtype: "f32", length: ([, w]) => productOf(w?.shape.slice(1) ?? []), magnitude: "absolute" },
  },
  infer: ({ x, w, bias }, attrs) => {
    const { groups } = attrs;
    for (const name of ["stride", "dilation", "groups"] as const)
      if (attrs[name] < 1) throw new AttrError("conv1d", `${name}: expected an integer > 0, got ${attrs[name]}`);
    if (attrs.padding < 0) throw new AttrError("conv1d", `padding: expected an integer >= 0, got ${attrs.padding}`);
    expectRank("conv1d", "x", x, 3);
    expectRank("conv1d", "w", w, 3);
    const [batch = 1, channels = 1] = x.shape;
    const [cout = 1, perGroup = 1, taps = 1] = w.shape;
    if (typeof taps !== "number" || taps < 1) throw new ShapeError("conv1d", `w: expected a fixed number of taps > 0, got ${showType(w)}`);
    if (!dimEquals(mulDims(perGroup, groups), channels))
      throw new ShapeError(
        "conv1d",
        `x: expected ${mulDims(perGroup, groups)} channels (${groups} groups, w ${showType(w)}), got ${showType(x)}`,
      );
    if (divDims(cout, groups) === undefined)
      throw new ShapeError("conv1d", `w: expected a multiple of ${groups} groups along its first axis, got ${showType(w)}`);
    if (bias) expectShape("conv1d", "bias", bias, [cout]);
    return { dtype: x.dtype, shape: [batch, cout, outputLength(x, taps, attrs)] };
  },
  reference: ({ x, w, bias }, { stride, padding, dilation, groups }, out) => {
    const [batch = 0, channels = 0, length = 0] = x.shape;
    const [cout = 0, perGroup = 0, taps = 0] = w.shape;
    const positions = out.shape[2] ?? 0;
    const [xv, wv, b] = [x.values(), w.values(), bias?.values()];
    for (let n = 0; n < batch; n++)
      for (let o = 0; o < cout; o++) {
        const first = n * channels + Math.floor(o / (cout / groups)) * perGroup;
        for (let p = 0; p < positions; p++) {
          let sum = b?.[o] ?? 0;
          for (let c = 0; c < perGroup; c++)
            for (let k = 0; k < taps; k++) {
              const at = p * stride + k * dilation - padding;
              if (at >= 0 && at < length) sum += (xv[(first + c) * length + at] ?? 0) * (wv[(o * perGroup + c) * taps + k] ?? 0);
            }
          out.set((n * cout + o) * positions + p, sum);
        }
      }
  },
  // Every position's window as a column, then one product per group.
  decompose: (b: Builder, { x, w, bias }: { x: Value; w: Value; bias?: Value | undefined }, attrs: Taps): Value => {
    const { stride, padding, dilation, groups } = attrs;
    const [batch = 1] = x.shape;
    const [cout = 1, perGroup = 1, taps = 1] = w.shape;
    const [k, perOut] = [Number(taps), divDims(cout, groups) ?? 1];
    const positions = outputLength(x, k, attrs);
    const v = widen(b, x);
    const padded = b.pad(v, { before: [0, 0, padding], after: [0, 0, padding] });
    const starts = b.mul(b.iota({ shape: [positions], dtype: "i64" }), stride);
    const tap = Tensor.from(
      "i64",
      [k, 1],
      Array.from({ length: k }, (_, i) => i * dilation),
    );
    const windows = b.gather(padded, b.add(starts, b.constant(tap)), { axis: 2 });
    const depth = mulDims(perGroup, k);
    const columns = b.reshape(windows, { shape: [batch, groups, depth, positions] });
    const filters = b.reshape(castTo(b, w, v.dtype), { shape: [1, groups, perOut, depth] });
    const y = b.reshape(b.matmul(filters, columns), { shape: [batch, cout, positions] });
    return castTo(b, bias ? b.add(y, b.reshape(castTo(b, bias, v.dtype), { shape: [cout, 1] })) : y, x.dtype);
  },
  samples: (rng) => [
    ...floatDTypes.flatMap((d) =>
      (
        [
          [[1, 1, 1], [1, 1, 1], {}],
          [[0, 2, 5], [3, 2, 3], {}],
          [[2, 3, 0], [4, 3, 3], { padding: 1 }],
          [[1, 0, 4], [3, 0, 2], {}],
          [[2, 3, 8], [5, 3, 3], { padding: 1 }],
          [[1, 5, 9], [7, 5, 3], { stride: 2, padding: 1 }],
          [[2, 4, 11], [6, 2, 4], { stride: 3, padding: 5, dilation: 2, groups: 2 }],
          [[1, 6, 7], [6, 1, 2], { groups: 6, dilation: 3 }],
          [[1, 65, 130], [67, 65, 3], { padding: 1 }],
        ] as const
      ).flatMap(([shape, filter, attrs]) => {
        const operands = { x: randomTensor(rng, d, shape), w: randomTensor(rng, d, filter) };
        return [
          { inputs: operands, attrs },
          { inputs: { ...operands, bias: randomTensor(rng, d, [filter[0]]) }, attrs },
        ];
      }),
    ),
    // Weights and biases of a file beside activations of the run.
    ...(["f16", "bf16"] as const).map((d) => ({
      inputs: { x: randomTensor(rng, "f32", [1, 8, 20]), w: randomTensor(rng, d, [9, 8, 3]), bias: randomTensor(rng, d, [9]) },
      attrs: { stride: 2, padding: 1 },
    })),
    // Images and groups of several tiles both ways and along k, none of them whole.
    {
      inputs: { x: randomTensor(rng, "f32", [2, 26, 70]), w: randomTensor(rng, "f32", [80, 13, 3]), bias: randomTensor(rng, "f32", [80]) },
      attrs: { padding: 2, dilation: 2, groups: 2 },
    },
  ],
});
