import type { Builder, Value } from "../builder.ts";
import { dimMin } from "../dim.ts";
import { AttrError, ShapeError } from "../errors.ts";
import { maxAbs } from "../magnitude.ts";
import { attr, defineOp, input } from "../op.ts";
import type { Rng } from "../rng.ts";
import { rowValues, slab } from "../rows.ts";
import { floatDTypes, randomTensor, weightDTypes, weightTensor } from "../samples.ts";
import { showType } from "../shape.ts";
import { Tensor } from "../tensor.ts";
import { indexList } from "./embedding.ts";
import { dot, expectRank, expectShape } from "./rules.ts";
import { largest } from "./select.ts";
import { castTo, widen } from "./widen.ts";

type Scoring = "softmax" | "sigmoid";

export const moeRoute = defineOp({
  name: "moe_route",
  doc:
    "The k experts of every token with the largest logits, ties by the lower index: logits [T, E] give weights f32 [T, k], softmax over all E or sigmoid, " +
    "normalised to a sum of 1 over the k if asked, and experts i32 [T, k] (Shazeer et al. 2017).",
  inputs: [input("logits", "float")],
  attrs: { k: attr.int.required, normalize: attr.bool.default(true), scoring: attr.oneOf("softmax", "sigmoid") },
  outputs: ["weights", "experts"],
  traits: {
    accumulate: {
      dtype: "f32",
      length: ([logits]) => logits?.shape.at(-1) ?? 1,
      magnitude: ({ logits }) => {
        const m = 1 + 2 * maxAbs(logits);
        return (y) => m * Math.abs(y);
      },
    },
  },
  infer: ({ logits }, { k }) => {
    expectRank("moe_route", "logits", logits, 2);
    const [tokens = 1, experts = 1] = logits.shape;
    if (k < 1 || k > dimMin(experts)) throw new AttrError("moe_route", `k: expected 1 to ${dimMin(experts)}, got ${k}`);
    return { weights: { dtype: "f32", shape: [tokens, k] }, experts: { dtype: "i32", shape: [tokens, k] } };
  },
  reference: ({ logits }, { k, normalize, scoring }, { weights, experts }) => {
    const [tokens = 0, count = 0] = logits.shape;
    const v = logits.values();
    for (let t = 0; t < tokens; t++) {
      const row = v.subarray(t * count, (t + 1) * count);
      const chosen = largest((e) => row[e] ?? 0, count, k);
      const max = row[chosen[0] ?? 0] ?? 0;
      let all = 0;
      for (const x of row) all += Math.exp(x - max);
      const scores = chosen.map((e) => (scoring === "softmax" ? Math.exp((row[e] ?? 0) - max) / all : 1 / (1 + Math.exp(-(row[e] ?? 0)))));
      const total = normalize ? scores.reduce((a, b) => a + b, 0) : 1;
      for (const [j, e] of chosen.entries()) {
        weights.set(t * k + j, (scores[j] ?? 0) / total);
        experts.set(t * k + j, e);
      }
    }
  },
  decompose: (
    b: Builder,
    { logits }: { logits: Value },
    { k, normalize, scoring }: { k: number; normalize: boolean; scoring: Scoring },
  ): { weights: Value; experts: Value } => {
    const wide = logits.dtype === "f32" ? logits : b.cast(logits, { dtype: "f32" });
    const { values, indices } = b.topk(wide, { k });
    // Softmax over all experts of the chosen ones, from their logits: e^(x - max) / sum.
    const max = b.reduceMax(wide, { axes: [-1], keepDims: true });
    const all = b.reduceSum(b.exp(b.sub(wide, max)), { axes: [-1], keepDims: true });
    const scores = scoring === "sigmoid" ? b.sigmoid(values) : b.div(b.exp(b.sub(values, max)), all);
    const weights = normalize ? b.div(scores, b.reduceSum(scores, { axes: [-1], keepDims: true })) : scores;
    return { weights, experts: indices };
  },
  samples: (rng) => [
    ...floatDTypes.flatMap((d) =>
      (["softmax", "sigmoid"] as const).flatMap((scoring) =>
        [true, false].flatMap((normalize) => [
          { inputs: { logits: randomTensor(rng, d, [1, 1]) }, attrs: { k: 1, scoring, normalize } },
          { inputs: { logits: randomTensor(rng, d, [0, 4]) }, attrs: { k: 2, scoring, normalize } },
          { inputs: { logits: randomTensor(rng, d, [7, 33]) }, attrs: { k: 4, scoring, normalize } },
          { inputs: { logits: Tensor.from(d, [1, 5], [1, 3, 3, 1, 3]) }, attrs: { k: 4, scoring, normalize } },
        ]),
      ),
    ),
    // More experts than a threadgroup has threads.
    { inputs: { logits: randomTensor(rng, "f32", [1, 1500]) }, attrs: { k: 5, scoring: "softmax", normalize: false } },
  ],
});

function groupedSample(rng: Rng, x: Tensor, w: Tensor, tokens: number, chosen: number) {
  const ids = Array.from({ length: tokens * chosen }, () => rng.int(0, (w.shape[0] ?? 1) - 1));
  return { inputs: { x, w, experts: Tensor.from("i32", [tokens, chosen], ids) } };
}

/** Two experts per token; how many places each of them has, well mixed. */
function placesOn(places: Readonly<Record<number, number>>): Tensor {
  const list = Object.entries(places).flatMap(([expert, count]) => Array.from({ length: count }, () => Number(expert)));
  return Tensor.from(
    "i64",
    [list.length / 2, 2],
    list.map((_, i) => list[(37 * i + 25) % list.length] ?? 0),
  );
}

export const groupedLinear = defineOp({
  name: "grouped_linear",
  doc:
    "linear with the weight of each token's experts: x [T, k] (the same for all K) or [T, K, k], w [E, n, k] in any weight dtype, experts int [T, K] " +
    "give [T, K, n] in x's dtype. An expert outside [0, E) is an error.",
  inputs: [input("x", "float"), input("w", "weight"), input("experts", "int")],
  traits: { epilogue: true, accumulate: { dtype: "f32", length: ([x]) => x?.shape.at(-1) ?? 1, magnitude: "absolute", activations: "x" } },
  infer: ({ x, w, experts }) => {
    expectRank("grouped_linear", "w", w, 3);
    expectRank("grouped_linear", "experts", experts, 2);
    const [tokens = 1, chosen = 1] = experts.shape;
    const [, n = 1, k = 1] = w.shape;
    if (x.shape.length === 2) expectShape("grouped_linear", "x", x, [tokens, k]);
    else if (x.shape.length === 3) expectShape("grouped_linear", "x", x, [tokens, chosen, k]);
    else throw new ShapeError("grouped_linear", `x: expected [${tokens}, ${k}] or [${tokens}, ${chosen}, ${k}], got ${showType(x)}`);
    return { dtype: x.dtype, shape: [tokens, chosen, n] };
  },
  reference: ({ x, w, experts }, _, out) => {
    const [count = 0, n = 0, k = 0] = w.shape;
    const chosen = experts.shape[1] ?? 1;
    const xv = x.values();
    const list = indexList("grouped_linear", experts, count);
    const decoded = new Map([...new Set(list)].map((e) => [e, Array.from({ length: n }, (_, r) => rowValues(slab(w, e), r))]));
    for (const [i, e] of list.entries()) {
      const at = (x.shape.length === 2 ? Math.floor(i / chosen) : i) * k;
      for (const [r, row] of (decoded.get(e) ?? []).entries()) out.set(i * n + r, dot(xv, at, row, 0, k));
    }
  },
  decompose: (b: Builder, { x, w, experts }: { x: Value; w: Value; experts: Value }): Value => {
    const [tokens = 1, chosen = 1] = experts.shape;
    const [, n = 1, k = 1] = w.shape;
    const v = widen(b, x);
    const rows = b.reshape(v, { shape: [tokens, x.shape.length === 2 ? 1 : chosen, 1, k] });
    const y = b.matmul(rows, b.gather(b.dequantize(w, { dtype: v.dtype }), experts), { transposeB: true });
    return castTo(b, b.reshape(y, { shape: [tokens, chosen, n] }), x.dtype);
  },
  samples: (rng) => [
    ...floatDTypes.flatMap((d) => [
      groupedSample(rng, randomTensor(rng, d, [1, 3]), randomTensor(rng, d, [1, 2, 3]), 1, 1),
      groupedSample(rng, randomTensor(rng, d, [0, 3]), randomTensor(rng, d, [2, 2, 3]), 0, 2),
      groupedSample(rng, randomTensor(rng, d, [5, 33]), randomTensor(rng, d, [7, 9, 33]), 5, 2),
      groupedSample(rng, randomTensor(rng, d, [5, 3, 33]), randomTensor(rng, d, [7, 9, 33]), 5, 3),
    ]),
    ...weightDTypes.flatMap((d) => [
      groupedSample(rng, randomTensor(rng, "f32", [4, 256]), weightTensor(rng, d, [3, 8, 256]), 4, 2),
      groupedSample(rng, randomTensor(rng, "f32", [4, 2, 512]), weightTensor(rng, d, [3, 5, 512]), 4, 2),
    ]),
    // More experts than lanes: most without places, some with about a tile of them; several tiles of columns. Then as many tiles as there can be, as many
    // experts as fill their list, and less than a tile of places.
    ...[
      { experts: placesOn({ 0: 1, 3: 33, 7: 2, 34: 31, 35: 32, 39: 1 }), w: [40, 70, 36] },
      { experts: placesOn({ 0: 1, 3: 33, 7: 2, 34: 31, 35: 32, 39: 1 }), w: [40, 70, 36], leading: [50, 2] },
      { experts: placesOn({ 0: 1, 1: 33 }), w: [2, 5, 8] },
      { experts: placesOn({ 2: 17, 14: 15 }), w: [15, 5, 8] },
      { experts: placesOn({ 1: 10 }), w: [3, 5, 8] },
    ].map(({ experts, w, leading = [experts.shape[0] ?? 0] }) => ({
      inputs: { x: randomTensor(rng, "f32", [...leading, w[2] ?? 1]), w: randomTensor(rng, "f32", w), experts },
    })),
  ],
});
