import {
  type DType,
  evaluateGraph,
  graphBuilder,
  type KvCopyName,
  type KvCopySpec,
  kvCacheCopy,
  kvCacheCopyBatchF32,
  kvCacheCopyBatchF32Dual,
  kvCacheCopyBatchF32ToF16,
  kvCacheCopyBatchF32ToF16Batched,
  kvCacheCopyBatchF32ToF16Dual,
  kvCacheCopyF32,
  kvCacheCopySeqBf16,
  kvCacheCopySeqBf16ToBf16HeadMajor,
  kvCacheCopySeqF32,
  kvCacheCopySeqF32Dual,
  kvCacheCopySeqF32ToF16,
  kvCacheCopySeqF32ToF16Dual,
  kvCacheLinearizeRing,
  kvCopies,
  kvCopySpecs,
  Rng,
  randomTensor,
  Tensor,
  Value,
} from "@rlxjs/ir";
import { describe, expect, test } from "vitest";
import { guarded } from "./support/kv-model.ts";

const filled = (dtype: DType, n: number, value: (i: number) => number): Tensor =>
  Tensor.from(
    dtype,
    [n],
    Array.from({ length: n }, (_, i) => value(i)),
  );
const constant = (dtype: DType, n: number, value: number): Tensor => filled(dtype, n, () => value);
/** The elements of slot `slot` of a head of a head-major cache. */
const slotOf = (t: Tensor, head: number, slot: number, capacity: number, dim: number): number[] =>
  t.toArray().slice((head * capacity + slot) * dim, (head * capacity + slot + 1) * dim);

describe("rows into a token-major cache", () => {
  test.each(["bf16", "f16"] as const)("%s: the bits of four rows, the rest stays", (dtype) => {
    const src = filled(dtype, 4 * 128, (i) => i * 0.01);
    const { tensor: cache, intact } = guarded(dtype, [64, 128]);
    kvCacheCopy({ src, cache, writePos: 0, rowSize: 128, nNew: 4, cacheCap: 64 });
    expect(Buffer.compare(cache.bytes.subarray(0, 4 * 256), src.bytes)).toBe(0);
    expect(cache.bytes.subarray(4 * 256).every((b) => b === 0)).toBe(true);
    expect(intact()).toBe(true);
  });

  test("a NaN keeps its bits", () => {
    const src = Tensor.fromBytes("f16", [2], new Uint8Array([0x01, 0x7c, 0xff, 0xff]));
    const cache = Tensor.zeros("f16", [2]);
    kvCacheCopy({ src, cache, writePos: 0, rowSize: 2, nNew: 1, cacheCap: 1 });
    expect(cache.bytes).toEqual(src.bytes);
  });

  test("a ring wraps: three rows from position 6 go to slots 2, 3 and 0 of 4", () => {
    const src = filled("f32", 3 * 64, (i) => (i + 1) * 0.1);
    const cache = Tensor.zeros("f32", [4, 64]);
    kvCacheCopyF32({ src, cache, writePos: 6, rowSize: 64, nNew: 3, cacheCap: 4, isSliding: true });
    const row = (i: number): number[] => src.toArray().slice(i * 64, (i + 1) * 64);
    expect(cache.toArray()).toEqual([...row(2), ...new Array(64).fill(0), ...row(0), ...row(1)]);
  });

  test("no rows are no error, wherever they would go", () => {
    const cache = constant("f32", 8, 7);
    kvCacheCopyF32({ src: Tensor.zeros("f32", [0]), cache, writePos: 99, rowSize: 2, nNew: 0, cacheCap: 4 });
    kvCacheCopyF32({ src: Tensor.zeros("f32", [0]), cache: Tensor.zeros("f32", [0]), writePos: 0, rowSize: 2, nNew: 0, cacheCap: 0 });
    kvCacheCopyF32({ src: Tensor.zeros("f32", [0]), cache, writePos: 0, rowSize: 0, nNew: 3, cacheCap: 4 });
    expect(cache).toEqual(constant("f32", 8, 7));
  });
});

describe("tokens into a head-major cache", () => {
  test("a ring is filled by the last four of eight tokens", () => {
    const src = filled("f32", 8 * 2 * 4, (i) => 1000 + (i >> 3) + 0.1 * ((i >> 2) & 1) + 0.01 * (i & 3));
    const cache = Tensor.zeros("f32", [2, 4, 4]);
    kvCacheCopySeqF32({ src, cache, nHeads: 2, headDim: 4, capacity: 4, seqPosStart: 4, nTokens: 4, srcTokOffset: 4 });
    for (let h = 0; h < 2; h++)
      for (let s = 0; s < 4; s++)
        expect(slotOf(cache, h, s, 4, 4)).toEqual(src.toArray().slice(((4 + s) * 2 + h) * 4, ((4 + s) * 2 + h + 1) * 4));
  });

  test("a start that is no multiple of the capacity wraps in the middle", () => {
    const src = filled("f32", 3 * 2 * 2, (i) => i + 1);
    const cache = Tensor.zeros("f32", [2, 4, 2]);
    kvCacheCopySeqF32({ src, cache, nHeads: 2, headDim: 2, capacity: 4, seqPosStart: 11, nTokens: 3 });
    expect(cache.toArray()).toEqual([5, 6, 9, 10, 0, 0, 1, 2, 7, 8, 11, 12, 0, 0, 3, 4]);
  });

  test("slots that are not written keep their sentinels", () => {
    const src = filled("f32", 3 * 2 * 4, (i) => 2000 + i);
    const cache = constant("f32", 2 * 8 * 4, -9999);
    kvCacheCopySeqF32({ src, cache, nHeads: 2, headDim: 4, capacity: 8, seqPosStart: 0, nTokens: 3 });
    for (let h = 0; h < 2; h++)
      for (let s = 0; s < 8; s++)
        expect(slotOf(cache, h, s, 8, 4)).toEqual(
          s < 3 ? src.toArray().slice((s * 2 + h) * 4, (s * 2 + h + 1) * 4) : new Array(4).fill(-9999),
        );
  });

  test("one token changes slot 3 only", () => {
    const src = filled("f32", 4 * 8, (i) => i * 0.1 + 1);
    const cache = Tensor.zeros("f32", [4, 16, 8]);
    kvCacheCopyBatchF32({ src, cache, nHeads: 4, headDim: 8, capacity: 16, seqPos: 3 });
    for (let h = 0; h < 4; h++)
      for (let s = 0; s < 16; s++)
        expect(slotOf(cache, h, s, 16, 8)).toEqual(s === 3 ? src.toArray().slice(h * 8, (h + 1) * 8) : new Array(8).fill(0));
  });

  test.each([
    { nHeads: 4, headDim: 16, srcTokens: 6, nTokens: 6, srcTokOffset: 0, capacity: 32 },
    { nHeads: 2, headDim: 8, srcTokens: 4, nTokens: 2, srcTokOffset: 2, capacity: 16 },
  ])("bf16 is widened exactly: $nTokens of $srcTokens tokens", ({ srcTokens, ...args }) => {
    const { nHeads, headDim, nTokens, srcTokOffset, capacity } = args;
    const src = randomTensor(new Rng(3), "bf16", [srcTokens, nHeads, headDim]);
    const cache = Tensor.zeros("f32", [nHeads, capacity, headDim]);
    kvCacheCopySeqBf16({ src, cache, seqPosStart: 0, ...args });
    for (let h = 0; h < nHeads; h++)
      for (let t = 0; t < nTokens; t++)
        for (let d = 0; d < headDim; d++)
          expect(cache.get((h * capacity + t) * headDim + d)).toBe(src.get(((srcTokOffset + t) * nHeads + h) * headDim + d));
  });

  test("f32 to f16: nearest even, infinity beyond the largest, subnormals, NaN", () => {
    const cases: readonly (readonly [number, number])[] = [
      [1 + 2 ** -11, 0x3c00], // a tie goes to the even one
      [1 + 3 * 2 ** -11, 0x3c02],
      [1 + 2 ** -11 + 2 ** -23, 0x3c01],
      [65504, 0x7bff],
      [65519.99609375, 0x7bff],
      [65520, 0x7c00],
      [-1e38, 0xfc00],
      [2 ** -24, 0x0001],
      [2 ** -25, 0x0000],
      [2 ** -25 * 1.5, 0x0001],
      [-(2 ** -14) * (1 - 2 ** -11), 0x8400],
      [-0, 0x8000],
    ];
    const n = cases.length;
    const src = filled("f32", n, (i) => cases[i]?.[0] ?? 0);
    for (const copy of [
      (cache: Tensor) => kvCacheCopyBatchF32ToF16({ src, cache, nHeads: 1, headDim: n, capacity: 1, seqPos: 0 }),
      (cache: Tensor) => kvCacheCopySeqF32ToF16({ src, cache, nHeads: 1, headDim: n, capacity: 1, seqPosStart: 5, nTokens: 1 }),
    ]) {
      const cache = Tensor.zeros("f16", [n]);
      copy(cache);
      expect(Array.from(cache.data, Number)).toEqual(cases.map(([, bits]) => bits));
    }
    const cache = Tensor.zeros("f16", [1]);
    kvCacheCopyBatchF32ToF16({ src: constant("f32", 1, Number.NaN), cache, nHeads: 1, headDim: 1, capacity: 1, seqPos: 0 });
    expect(cache.get(0)).toBeNaN();
  });

  test("bf16 from a head-major source keeps its bits", () => {
    const [nHeads, headDim, srcSeqLen, capacity] = [3, 4, 5, 4];
    const src = randomTensor(new Rng(5), "bf16", [nHeads, srcSeqLen, headDim]);
    const cache = Tensor.zeros("bf16", [nHeads, capacity, headDim]);
    kvCacheCopySeqBf16ToBf16HeadMajor({ src, cache, nHeads, headDim, capacity, seqPosStart: 6, nTokens: 3, srcTokOffset: 1, srcSeqLen });
    for (let h = 0; h < nHeads; h++)
      for (let t = 0; t < 3; t++)
        expect(slotOf(cache, h, (6 + t) % 4, capacity, headDim)).toEqual(slotOf(src, h, 1 + t, srcSeqLen, headDim));
    for (let h = 0; h < nHeads; h++) expect(slotOf(cache, h, 1, capacity, headDim)).toEqual([0, 0, 0, 0]);
  });

  test("several sequences, each at a position of its own", () => {
    const [nHeads, headDim, capacity, slots] = [2, 3, 4, 5];
    const src = randomTensor(new Rng(6), "f32", [3, nHeads * headDim]);
    const cache = Tensor.zeros("f16", [slots, nHeads, capacity, headDim]);
    kvCacheCopyBatchF32ToF16Batched({
      src,
      cache,
      nHeads,
      headDim,
      capacity,
      slotId: new Uint32Array([4, 0, 2]),
      seqPos: [1, 9, 3],
      isRing: true,
    });
    const expected = Tensor.zeros("f16", cache.shape);
    for (const [i, [slot, pos]] of [[4, 1] as const, [0, 1] as const, [2, 3] as const].entries())
      for (let h = 0; h < nHeads; h++)
        for (let d = 0; d < headDim; d++)
          expected.set(((slot * nHeads + h) * capacity + pos) * headDim + d, src.get((i * nHeads + h) * headDim + d));
    expect(cache).toEqual(expected);
  });

  test("a ring takes the newest tokens when asked to", () => {
    const src = filled("f32", 7, (i) => i + 1);
    const [trimmed, whole] = [Tensor.zeros("f32", [3]), Tensor.zeros("f32", [3])];
    const args = { src, nHeads: 1, headDim: 1, capacity: 3, seqPosStart: 2, nTokens: 7 };
    kvCacheCopySeqF32({ ...args, cache: trimmed, trim: true });
    for (let t = 0; t < 7; t++) kvCacheCopySeqF32({ ...args, cache: whole, seqPosStart: 2 + t, nTokens: 1, srcTokOffset: t });
    expect(trimmed).toEqual(whole);
    expect(trimmed.toArray()).toEqual([5, 6, 7]);
  });
});

test("K and V together are two copies", () => {
  const rng = new Rng(8);
  const sizes = { nHeads: 2, headDim: 5, capacity: 4 };
  const [srcK, srcV] = [randomTensor(rng, "f32", [3, 2, 5]), randomTensor(rng, "f32", [3, 2, 5])];
  const caches = (dtype: DType) => Array.from({ length: 4 }, () => constant(dtype, 40, -1)) as [Tensor, Tensor, Tensor, Tensor];
  const range = { ...sizes, seqPosStart: 7, nTokens: 2, srcTokOffset: 1 };
  const token = { ...sizes, seqPos: 2 };
  for (const [dtype, dual, single] of [
    ["f32", kvCacheCopySeqF32Dual, kvCacheCopySeqF32],
    ["f16", kvCacheCopySeqF32ToF16Dual, kvCacheCopySeqF32ToF16],
  ] as const) {
    const [cacheK, cacheV, k, v] = caches(dtype);
    dual({ srcK, srcV, cacheK, cacheV, ...range });
    single({ src: srcK, cache: k, ...range });
    single({ src: srcV, cache: v, ...range });
    expect([cacheK, cacheV]).toEqual([k, v]);
  }
  for (const [dtype, dual, single] of [
    ["f32", kvCacheCopyBatchF32Dual, kvCacheCopyBatchF32],
    ["f16", kvCacheCopyBatchF32ToF16Dual, kvCacheCopyBatchF32ToF16],
  ] as const) {
    const [cacheK, cacheV, k, v] = caches(dtype);
    dual({ srcK, srcV, cacheK, cacheV, ...token });
    single({ src: srcK, cache: k, ...token });
    single({ src: srcV, cache: v, ...token });
    expect([cacheK, cacheV]).toEqual([k, v]);
  }
});

test("a ring is put in order, as bytes", () => {
  const src = Tensor.fromBytes(
    "u8",
    [2, 5, 3],
    Uint8Array.from({ length: 30 }, (_, i) => Math.floor(i / 15) * 80 + (Math.floor(i / 3) % 5) * 10 + (i % 3)),
  );
  const { tensor: dst, intact } = guarded("u8", [2, 6, 3]);
  kvCacheLinearizeRing({ src, dst, nHeads: 2, srcCap: 5, dstCap: 6, rowBytes: 3, historyLen: 4, logicalEnd: 8 });
  const row = (head: number, slot: number): number[] => [0, 1, 2].map((byte) => head * 80 + slot * 10 + byte);
  const zeros = new Array(6).fill(0);
  expect(dst.toArray()).toEqual([0, 1].flatMap((h) => [...[4, 0, 1, 2].flatMap((slot) => row(h, slot)), ...zeros]));
  expect(intact()).toBe(true);
});

test("tensors that are parts of a buffer are read and written where they are", () => {
  const memory = new Float32Array(40).fill(-1);
  const part = (from: number, n: number): Tensor => new Tensor("f32", [n], memory.subarray(from, from + n));
  memory.fill(5, 2, 6);
  kvCacheCopyBatchF32({ src: part(2, 4), cache: part(9, 16), nHeads: 2, headDim: 2, capacity: 4, seqPos: 3 });
  const written = [15, 16, 23, 24]; // slot 3 of both heads
  expect(
    [...memory]
      .map((v, i) => [i, v])
      .filter(([, v]) => v === 5)
      .map(([i]) => i),
  ).toEqual([2, 3, 4, 5, ...written]);
});

type Loose = (first: unknown, args?: unknown) => unknown;
const loose = (name: KvCopyName): Loose => kvCopies[name] as unknown as Loose;

describe("in a graph", () => {
  const sizes = { nHeads: 2, headDim: 3, capacity: 4 };
  /** Shape of a source and of a cache, arguments of both forms, and those that only the eager form has. */
  const forms = {
    rows: { src: [3, 6], cache: [1, 4, 6], args: { writePos: 6, isSliding: true }, extents: { rowSize: 6, nNew: 3, cacheCap: 4 } },
    token: { src: [2, 3], cache: [1, 2, 4, 3], args: { seqPos: 2 }, extents: sizes },
    range: { src: [5, 2, 3], cache: [1, 2, 4, 3], args: { seqPosStart: 7, nTokens: 3, srcTokOffset: 2 }, extents: sizes },
    headMajorRange: {
      src: [2, 5, 3],
      cache: [1, 2, 4, 3],
      args: { seqPosStart: 7, nTokens: 3, srcTokOffset: 2 },
      extents: { ...sizes, srcSeqLen: 5 },
    },
    batched: { src: [2, 6], cache: [3, 2, 4, 3], args: { slotId: [2, 0], seqPos: [9, 1], isRing: true }, extents: sizes },
  };

  test.each(Object.keys(kvCopySpecs) as KvCopyName[])("%s is the same as on tensors", (name) => {
    const spec: KvCopySpec = kvCopySpecs[name];
    const form = forms[spec.form];
    for (const dtype of spec.source) {
      const rng = new Rng(9);
      const cacheDType = spec.cache === "same" ? dtype : spec.cache;
      const [srcNames, cacheNames] = spec.dual
        ? [
            ["srcK", "srcV"],
            ["cacheK", "cacheV"],
          ]
        : [["src"], ["cache"]];
      const g = graphBuilder(name);
      const [inputs, states, values]: [Record<string, Tensor>, Map<string, Tensor>, Record<string, unknown>] = [{}, new Map(), {}];
      for (const src of srcNames ?? []) {
        inputs[src] = randomTensor(rng, dtype, form.src);
        values[src] = g.input(src, dtype, form.src);
      }
      for (const cache of cacheNames ?? []) {
        states.set(cache, randomTensor(rng, cacheDType, form.cache));
        values[cache] = g.state(cache, cacheDType, form.cache);
      }
      for (const [arg, value] of Object.entries(form.args))
        values[arg] = Array.isArray(value) ? g.constant(Tensor.from("i32", [value.length], value)) : value;
      const tensors = Object.fromEntries([...states].map(([key, t]) => [key, Tensor.fromBytes(t.dtype, t.shape, t.bytes.slice())]));
      loose(name)({ ...inputs, ...tensors, ...form.args, ...form.extents });
      const result = loose(name)(g, values);
      for (const [key, value] of Object.entries(result instanceof Value ? { out: result } : (result as Record<string, Value>)))
        g.output(key, value);
      const graph = g.build();
      expect(graph.nodes.filter((n) => n.op.startsWith("kv_")).map((n) => n.op)).toEqual([spec.dual ? "kv_write_pair" : "kv_write"]);
      evaluateGraph(graph, { inputs, states });
      expect(Object.fromEntries(states)).toEqual(tensors);
    }
  });

  test("a ring is put in order", () => {
    const src = randomTensor(new Rng(4), "f16", [2, 5, 3]);
    const g = graphBuilder("linear");
    const dst = g.state("dst", "f16", [2, 6, 3]);
    g.output(
      "out",
      kvCacheLinearizeRing(g, { src: g.input("src", "f16", [2, 5, 3]), dst, historyLen: 4, logicalEnd: g.input("end", "i32", []) }),
    );
    const { out } = evaluateGraph(g.build(), { inputs: { src, end: Tensor.from("i32", [], [8]) } });
    const expected = Tensor.zeros("f16", [2, 6, 3]);
    kvCacheLinearizeRing({ src, dst: expected, nHeads: 2, srcCap: 5, dstCap: 6, rowBytes: 6, historyLen: 4, logicalEnd: 8 });
    expect(out).toEqual(expected);
  });

  test("errors", () => {
    const g = graphBuilder("g");
    const [src, cache] = [g.input("src", "f32", [3, 2, 4]), g.state("cache", "f32", [1, 2, 8, 4])];
    const flat = g.input("flat", "f32", [3, 8]);
    const says = (call: () => unknown): string => {
      try {
        call();
      } catch (error) {
        return String(error);
      }
      return "nothing";
    };
    expect([
      says(() => kvCacheCopySeqF32ToF16(g, { src, cache, seqPosStart: 0 })),
      says(() => kvCacheCopySeqBf16(g, { src, cache, seqPosStart: 0 })),
      says(() => kvCacheCopySeqF32(g, { src: flat, cache, seqPosStart: 0 })),
      says(() => loose("kvCacheCopySeqF32")(g, { src, cache })),
      says(() => loose("kvCacheCopySeqF32")(g, { src, cache, seqPosStart: "0" })),
      says(() => kvCacheCopySeqF32(g, { src, cache, seqPosStart: -1 })),
      says(() => kvCacheCopySeqF32(g, { src, cache, seqPosStart: 0, nTokens: 1.5 })),
      says(() => loose("kvCacheCopySeqF32")(g, { src, cache, seqPosStart: 0, capacity: 8 })),
      says(() => loose("kvCacheCopySeqF32")(g, { src: 1, cache, seqPosStart: 0 })),
      says(() => kvCacheCopyF32(g, { src: flat, cache: g.state("rows", "f32", [1, 4, 8]), writePos: 0, trim: true })),
      says(() => kvCacheCopySeqF32Dual(g, { srcK: src, srcV: src, cacheK: cache, cacheV: cache, seqPosStart: 0 })),
      says(() => kvCacheCopySeqF32(g, { src, cache: g.input("no state", "f32", [1, 2, 8, 4]), seqPosStart: 0 })),
      says(() => loose("kvCacheCopySeqF32")(g)),
    ]).toMatchInlineSnapshot(`
      [
        "ShapeError: [kvCacheCopySeqF32ToF16] cache: expected dtype f16, got f32[1, 2, 8, 4]",
        "ShapeError: [kvCacheCopySeqBf16] src: expected dtype bf16, got f32[3, 2, 4]",
        "ShapeError: [kvCacheCopySeqF32] src: expected [nTokens, nHeads, headDim], got f32[3, 8]",
        "AttrError: [kvCacheCopySeqF32] seqPosStart: expected a value or a number, got nothing",
        "AttrError: [kvCacheCopySeqF32] seqPosStart: expected a value or a number, got "0"",
        "AttrError: [kvCacheCopySeqF32] seqPosStart: expected an integer of at least 0, got -1",
        "AttrError: [kvCacheCopySeqF32] nTokens: expected an integer of at least 0, got 1.5",
        "AttrError: [kvCacheCopySeqF32] unknown argument "capacity": expected src, cache, seqPosStart, nTokens, srcTokOffset, trim",
        "AttrError: [kvCacheCopySeqF32] src: expected a value of the graph, got 1",
        "AttrError: [kv_write] trim: expected ring: true beside it, only a ring drops tokens",
        "GraphError: graph "g": kv_write_pair writes "vCache": expected a state of its own, got %1 again",
        "GraphError: graph "g": kv_write writes "cache": expected a state value, got %14",
        "AttrError: [kvCacheCopySeqF32] expected arguments by name, got undefined",
      ]
    `);
  });
});
