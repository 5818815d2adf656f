import {
  type AttentionName,
  attentionForms,
  attentionNameRows,
  attentions,
  type Builder,
  decodeKvVector,
  encodeKvVector,
  evaluateGraph,
  flashAttnPrefill,
  flashAttnPrefillResume,
  flashAttnVec,
  flashAttnVecTq,
  flashAttnVecTqHb,
  fwhtThenSign,
  graphBuilder,
  type KvBits,
  kvCodec,
  Rng,
  randomTensor,
  sdpa,
  sdpaBf16,
  sdpaDecode,
  sdpaSliding,
  Tensor,
} from "@rlxjs/ir";
import { describe, expect, test } from "vitest";

const rng = new Rng(8);
const [batch, heads, kvHeads, dim, capacity] = [2, 4, 2, 8, 12];
const query = (n: number): Tensor => randomTensor(rng, "f32", [batch, heads, n, dim]);
const cache = (): Tensor => randomTensor(rng, "f32", [batch, kvHeads, capacity, dim]);

/** The formula, on [B, H, L, D]: which keys query i sees, of `length` that begin in slot `first`. */
function formula(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  sees: (i: number, j: number) => boolean,
  {
    length = capacity,
    scale = 1 / Math.sqrt(q.shape[3] ?? 1),
    softcap = Number.POSITIVE_INFINITY,
    first = 0,
    bias = (_i: number, _j: number): number => 0,
  } = {},
): number[] {
  const [b = 0, h = 0, n = 0, d = 0] = q.shape;
  const [, groups = 1, slots = 1] = k.shape;
  const out: number[] = [];
  for (let row = 0; row < b * h * n; row++) {
    const [at, i] = [Math.floor(row / h / n) * groups + Math.floor(((Math.floor(row / n) % h) * groups) / h), row % n];
    const keys = Array.from({ length }, (_, j) => j).filter((j) => sees(i, j));
    const slot = (j: number): number => (at * slots + ((first + j) % slots)) * d;
    const scores = keys.map((j) => {
      const dot = Array.from({ length: d }, (_, e) => q.get(row * d + e) * k.get(slot(j) + e)).reduce((x, y) => x + y, 0) * scale;
      return (Number.isFinite(softcap) ? softcap * Math.tanh(dot / softcap) : dot) + bias(i, j);
    });
    const weights = scores.map((s) => Math.exp(s));
    const total = weights.reduce((x, y) => x + y, 0);
    for (let e = 0; e < d; e++) out.push(keys.reduce((sum, j, at) => sum + ((weights[at] ?? 0) / total) * v.get(slot(j) + e), 0));
  }
  return out;
}
const expectNear = (got: Tensor, expected: readonly number[], tolerance = 1e-6): void => {
  expect(got.size).toBe(expected.length);
  for (const [i, y] of expected.entries()) expect(Math.abs(got.get(i) - y)).toBeLessThanOrEqual(tolerance * (1 + Math.abs(y)));
};
const int = (n: number): Tensor => Tensor.from("i32", [], [n]);

describe("on tensors", () => {
  const [k, v] = [cache(), cache()];

  test("sdpa: the queries are the newest positions", () => {
    const q = query(3);
    expectNear(
      sdpa({ q, k, v, kvSeqLen: 9 }),
      formula(q, k, v, (i, j) => j <= 6 + i, { length: 9 }),
    );
    expectNear(
      sdpa({ q, k, v, scale: 0.7 }),
      formula(q, k, v, (i, j) => j <= 9 + i, { scale: 0.7 }),
    );
  });
  test("sdpaBf16 takes bf16 only", () => {
    const [a, b, c] = [query(2), k, v].map((t) => Tensor.from("bf16", t.shape, t.values()));
    if (!a || !b || !c) throw new Error("three tensors");
    const got = sdpaBf16({ q: a, k: b, v: c });
    expect(got.dtype).toBe("bf16");
    expectNear(
      got,
      formula(a, b, c, (i, j) => j <= 10 + i),
      2 ** -8,
    );
    expect(() => sdpaBf16({ q: query(2), k: b, v: c })).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: [sdpaBf16] q: expected dtype bf16, got f32[2, 4, 2, 8]]`,
    );
  });
  test("sdpaSliding: windowSize keys, not one more", () => {
    const q = query(4);
    expectNear(
      sdpaSliding({ q, k, v, windowSize: 3 }),
      formula(q, k, v, (i, j) => j <= 8 + i && j > 5 + i),
    );
    expect(() => sdpaSliding({ q, k, v })).toThrowErrorMatchingInlineSnapshot(
      `[AttrError: [sdpaSliding] windowSize: expected an integer of at least 1, got nothing]`,
    );
  });
  test("sdpaDecode and flashAttnVec: one query sees all keys, or a window of them", () => {
    const q = query(1);
    const all = formula(q, k, v, () => true, { length: 7 });
    expectNear(sdpaDecode({ q, k, v, kvSeqLen: 7 }), all);
    expectNear(flashAttnVec({ q, k, v, kvSeqLen: 7, maskType: 1, slidingWindow: 2 }), all);
    expectNear(
      flashAttnVec({ q, k, v, kvSeqLen: 7, maskType: 2, slidingWindow: 2 }),
      formula(q, k, v, (_, j) => j > 4, { length: 7 }),
    );
    expectNear(
      flashAttnVec({ q, k, v, softcap: 0.5 }),
      formula(q, k, v, () => true, { softcap: 0.5 }),
    );
    expect(() => sdpaDecode({ q: query(2), k, v })).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: [sdpaDecode] q: expected one query a sequence, got f32[2, 4, 2, 8]]`,
    );
  });
  test("flashAttnPrefill: a bias, and absolute positions", () => {
    const q = query(5);
    const mask = randomTensor(rng, "f32", [5, capacity]);
    expectNear(
      flashAttnPrefill({ q, k, v, mask }),
      formula(q, k, v, () => true, { bias: (i, j) => mask.get(i * capacity + j) }),
    );
    expectNear(
      flashAttnPrefill({ q, k, v, doCausal: true }),
      formula(q, k, v, (i, j) => j <= 7 + i),
    );
  });
  test("flashAttnPrefillResume: from a position on", () => {
    const q = query(4);
    const given = { q, k, v, kvSeqLen: 9, qOffsetInK: 2 };
    expectNear(
      flashAttnPrefillResume(given),
      formula(q, k, v, (i, j) => j <= 2 + i, { length: 9 }),
    );
    expect(flashAttnPrefillResume({ ...given, qOffsetInK: int(2), kvSeqLen: int(9) }).bytes).toEqual(flashAttnPrefillResume(given).bytes);
  });
  test.each([
    ["flashAttnVecTq", 4],
    ["flashAttnVecTqHb", 5],
    ["flashAttnVecTqHb", 6],
    ["flashAttnVecTqHb", 8],
  ] as const)("%s at %i bits: plain queries and results over the decoded cache", (name, bits: KvBits) => {
    for (const codec of ["mlx-native-v1", "lloyd-max-v2"] as const) {
      const { dim, slots } = { dim: 256, slots: 10 };
      const c = kvCodec(codec, bits, dim);
      const side = (): [Tensor, Tensor, Tensor] => {
        const [packed, norms] = [Tensor.zeros("u8", [1, 2, slots, c.packedBytes]), new Float32Array(2 * slots * c.norms)];
        const plain = new Float32Array(2 * slots * dim);
        for (let i = 0; i < 2 * slots; i++) {
          const codes = packed.bytes.subarray(i * c.packedBytes, (i + 1) * c.packedBytes);
          const scales = norms.subarray(i * c.norms, (i + 1) * c.norms);
          const values = plain.subarray(i * dim, (i + 1) * dim);
          encodeKvVector(c, Float32Array.from(rng.normals(dim)), codes, scales);
          decodeKvVector(c, codes, scales, values);
          fwhtThenSign(values);
        }
        return [packed, Tensor.from("f32", [1, 2, slots, c.norms], norms), Tensor.from("f32", [1, 2, slots, dim], plain)];
      };
      const [kPacked, kNorms, k] = side();
      const [vPacked, vNorms, v] = side();
      const q = randomTensor(rng, "f32", [1, 4, 1, dim]);
      const given = { q, kPacked, kNorms, vPacked, vNorms, codec, ringStart: 7, kvSeqLen: 9, maskType: 2, slidingWindow: 5 } as const;
      const got = name === "flashAttnVecTq" ? flashAttnVecTq(given) : flashAttnVecTqHb({ ...given, codebookBits: bits as 5 });
      expectNear(
        got,
        formula(q, k, v, (_, j) => j >= 4, { length: 9, first: 7 }),
        1e-5,
      );
    }
  });
});

test("in a graph, the same as on tensors", () => {
  const [k, v, q] = [cache(), cache(), query(1)];
  const g = graphBuilder("named") as Builder;
  const inputs = { q, k, v, n: int(5) };
  const values = Object.fromEntries(Object.entries(inputs).map(([name, t]) => [name, g.input(name, t.dtype, t.shape)]));
  const { q: gq, k: gk, v: gv, n } = values;
  if (!gq || !gk || !gv || !n) throw new Error("four values");
  g.output("y", flashAttnVec(g, { q: gq, k: gk, v: gv, kvSeqLen: n, maskType: 2, slidingWindow: 3 }));
  const y = evaluateGraph(g.build(), { inputs }).y;
  expect(y?.bytes).toEqual(flashAttnVec({ q, k, v, kvSeqLen: 5, maskType: 2, slidingWindow: 3 }).bytes);
});

test("arguments that are wrong are errors by name", () => {
  const [k, v, q] = [cache(), cache(), query(1)];
  const call =
    (name: AttentionName, args: object): (() => unknown) =>
    () =>
      (attentions[name] as (args: unknown) => unknown)(args);
  expect(call("sdpa", { q, k, v, windowSize: 3 })).toThrowErrorMatchingInlineSnapshot(
    `[AttrError: [sdpa] unknown argument "windowSize": expected q, k, v, kvSeqLen, scale]`,
  );
  expect(call("sdpa", { q, k })).toThrowErrorMatchingInlineSnapshot(`[AttrError: [sdpa] v: expected a value of the graph, got undefined]`);
  expect(call("sdpa", { q, k, v, kvSeqLen: 13 })).toThrowErrorMatchingInlineSnapshot(
    `[RunError: [attention] kvLen of sequence 0: expected 0 to 12, got 13]`,
  );
  expect(call("flashAttnVec", { q, k, v, maskType: 3 })).toThrowErrorMatchingInlineSnapshot(
    `[AttrError: [flashAttnVec] maskType: expected 0, 1 or 2, got 3]`,
  );
  expect(call("flashAttnPrefillResume", { q, k, v })).toThrowErrorMatchingInlineSnapshot(
    `[AttrError: [flashAttnPrefillResume] qOffsetInK: expected a value or a number, got nothing]`,
  );
});

test("the rows of the docs are the names", () => {
  expect(attentionNameRows.map((r) => r.name)).toEqual(Object.keys(attentionForms));
  expect(Object.keys(attentions)).toEqual(Object.keys(attentionForms));
});
