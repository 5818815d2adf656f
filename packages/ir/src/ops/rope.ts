import { ShapeError } from "../errors.ts";
import { maxAbs } from "../magnitude.ts";
import { attr, defineOp, input } from "../op.ts";
import { floatDTypes, intDTypes, randomTensor } from "../samples.ts";
import { showType } from "../shape.ts";
import { Tensor } from "../tensor.ts";
import { decomposeRope } from "./rope-decompose.ts";
import { inferRope, rotatedMagnitude, rotateHeads } from "./rope-rules.ts";
import { expectRank } from "./rules.ts";

export const ropeTable = defineOp({
  name: "rope_table",
  doc: "Rotary angles: positions int [..., S] and invFreq f32 [R/2] give cos(p f) * scale and sin(p f) * scale, f32 [..., S, R/2], angles in f64 (Su et al. 2021).",
  inputs: [input("positions", "int"), input("invFreq", "float")],
  attrs: { scale: attr.number.default(1) },
  outputs: ["cos", "sin"],
  traits: {
    accumulate: {
      dtype: "f64",
      length: () => 1,
      magnitude: ({ positions, invFreq }, { scale }) => {
        const angle = maxAbs(positions) * maxAbs(invFreq);
        return () => (1 + angle) * Math.abs(scale);
      },
    },
  },
  infer: ({ positions, invFreq }) => {
    expectRank("rope_table", "invFreq", invFreq, 1);
    if (positions.shape.length === 0)
      throw new ShapeError("rope_table", `positions: expected at least one axis, got ${showType(positions)}`);
    if (invFreq.dtype !== "f32") throw new ShapeError("rope_table", `invFreq: expected f32, got ${showType(invFreq)}`);
    const type = { dtype: "f32" as const, shape: [...positions.shape, invFreq.shape[0] ?? 0] };
    return { cos: type, sin: type };
  },
  reference: ({ positions, invFreq }, { scale }, { cos, sin }) => {
    const freq = invFreq.values();
    for (let i = 0; i < positions.size; i++)
      for (let j = 0; j < freq.length; j++) {
        const angle = positions.get(i) * (freq[j] ?? 0);
        cos.set(i * freq.length + j, Math.cos(angle) * scale);
        sin.set(i * freq.length + j, Math.sin(angle) * scale);
      }
  },
  samples: (rng) => [
    ...intDTypes.map((d) => ({ inputs: { positions: Tensor.from(d, [2, 3], [0, 1, 2, 7, 100, 127]), invFreq: frequencies(8) } })),
    { inputs: { positions: Tensor.from("i32", [1], [131071]), invFreq: frequencies(64) }, attrs: { scale: 1.2079441541679836 } },
    { inputs: { positions: Tensor.zeros("i32", [0]), invFreq: randomTensor(rng, "f32", [3]) } },
    // A wide range of either, but not of both, for rounded angles are what f64 makes of them.
    {
      inputs: {
        positions: Tensor.from("i64", [5], [2 ** 31, -(2 ** 33) - 5, 2 ** 40 + 7, -1, 0]),
        invFreq: Tensor.from("f32", [4], [1, -0.02, 1e-4, 3e-9]),
      },
    },
    {
      inputs: { positions: Tensor.from("i32", [3], [-3, 1, 0]), invFreq: Tensor.from("f32", [6], [3e4, 1e6, -1e-30, 2 ** -149, 0, 7]) },
      attrs: { scale: -0.5 },
    },
  ],
});

const frequencies = (n: number): Tensor =>
  Tensor.from(
    "f32",
    [n],
    Array.from({ length: n }, (_, i) => 10000 ** (-i / n)),
  );

export const rope = defineOp({
  name: "rope",
  doc: "Rotates the first R of every head's D dimensions: x [B, S, H*D], cos and sin [S, R/2] or [B, S, R/2]; pairs (i, i + R/2), interleaved (2i, 2i + 1) (Su et al. 2021).",
  inputs: [input("x", "float"), input("cos", "float"), input("sin", "float")],
  attrs: { headDim: attr.int.required, interleaved: attr.bool.default(false) },
  traits: {
    inPlace: ["x"],
    accumulate: {
      dtype: "f32",
      length: () => 2,
      magnitude: (inputs) => {
        const m = rotatedMagnitude(inputs);
        return () => m;
      },
    },
  },
  infer: (inputs, { headDim }) => inferRope("rope", "x", inputs, headDim),
  reference: (inputs, attrs, out) => rotateHeads(inputs, attrs, out),
  decompose: decomposeRope,
  samples: (rng) =>
    floatDTypes.flatMap((d) =>
      (
        [
          [1, 1, 1, 2, 2],
          [2, 3, 5, 6, 6],
          [2, 5, 3, 20, 12],
          [1, 0, 2, 8, 8],
          [1, 4, 4, 64, 64],
        ] as const
      ).flatMap(([b, s, heads, headDim, rotated]) =>
        [
          [s, rotated / 2],
          [b, s, rotated / 2],
        ].flatMap((table) =>
          [false, true].map((interleaved) => ({
            inputs: {
              x: randomTensor(rng, d, [b, s, heads * headDim]),
              cos: randomTensor(rng, d === "f64" ? "f64" : "f32", table),
              sin: randomTensor(rng, d === "f64" ? "f64" : "f32", table),
            },
            attrs: { headDim, interleaved },
          })),
        ),
      ),
    ),
});
