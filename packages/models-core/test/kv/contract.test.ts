import { type Dim, define, dim, type Graph, type GraphBuilder, Tensor, type Value } from "@rlxjs/ir";
import { BucketedCompileCache, BusyError, linearLadder, Session, WeightStore } from "@rlxjs/runtime";
import { afterAll, describe, expect, test } from "vitest";
import "@rlxjs/backend-cpu";
import {
  batchedBuckets,
  GpuKvBinding,
  KvCacheState,
  runBucketedKvDecode,
  runBucketedKvDecodeGpu,
  runBucketedKvDecodeGpuHir,
  runBucketedKvDecodeHir,
  runBucketedKvDecodeHirLayers,
  runBucketedKvDecodeKeyed,
  runBucketedKvDecodeKeyedBatched,
  runBucketedKvDecodePacked,
  syncGpuKvToHost,
} from "../../src/index.ts";
import { buckets, decodeLoop, lastRow, maxDifference, recompute } from "./decode-loop.ts";
import { kvDimsOf, tinyGraph, tinyModel, tinyWeights } from "./tiny-model.ts";

const session = await Session.open({ device: "cpu", threads: 1 });
afterAll(() => session[Symbol.dispose]());

/** One head of one element: `past_k_0`, `past_v_0` [1, 8, 1], masked or not; q, k and v are inputs. */
function probe(masked: boolean): Graph {
  return define("probe", (g) => {
    const [q, k, v] = ["q", "k", "v"].map((name) => g.input(name, "f32", [1, 1, 1]));
    const [pastK, pastV] = ["past_k_0", "past_v_0"].map((name) => g.input(name, "f32", [1, 8, 1]));
    if (!q || !k || !v || !pastK || !pastV) throw new Error("expected five inputs");
    const keys = g.concat([pastK, k], { axis: 1 });
    const values = g.concat([pastV, v], { axis: 1 });
    const mask = masked ? { mask: g.input("mask", "bool", [1, 9]), maskKind: "keep" as const } : {};
    return { logits: g.attention(q, keys, values, { numHeads: 1, numKvHeads: 1, headDim: 1, scale: 1, ...mask }), k_0: keys, v_0: values };
  });
}

describe("padding", () => {
  const one = (v: number) => Float32Array.of(v);
  const inputs = { q: one(1), k: one(5), v: one(1) };
  const past = () => new KvCacheState({ kvDims: [1], pastLen: 1, layersK: [one(5)], layersV: [one(1)] });

  test("has no weight: a masked step gives exactly 1, where plain softmax over it gives 0.977", async () => {
    using cache = new BucketedCompileCache(session, [{ start: 0, end: 9 }]);
    const kv = past();
    const { logits } = await runBucketedKvDecode({ cache, kv, inputs, build: () => ({ graph: probe(true), params: {} }) });
    expect(logits.toArray()).toEqual([1]);
    expect([kv.layersK, kv.layersV]).toEqual([[Float32Array.of(5, 5)], [Float32Array.of(1, 1)]]);
    using unmasked = await session.compile(probe(false));
    const padded = kv.clone(1).padLayersToUpper(8);
    const leak = await unmasked.run({
      inputs: { ...inputs, past_k_0: padded.layersK[0] ?? one(0), past_v_0: padded.layersV[0] ?? one(0) },
    });
    expect(leak.logits?.get(0)).toBeCloseTo((2 * Math.exp(5)) / (2 * Math.exp(5) + 7), 6);
  });

  test("without a mask is refused, on the host and on the device", async () => {
    using cache = new BucketedCompileCache(session, [{ start: 0, end: 9 }]);
    const kv = past();
    const step = runBucketedKvDecode({ cache, kv, inputs, build: () => ({ graph: probe(false), params: {} }) });
    await expect(step).rejects.toThrowErrorMatchingInlineSnapshot(
      `[DecodeGraphError: graph "probe": expected an input mask [batch, 9]: past_k_0 is padded from 1 to 8 rows, and attention without a mask gives every row of zeros the weight exp(0); or give the past a symbolic extent, which needs no padding]`,
    );
    using loop = decodeLoop(session, { past: "unmasked", kvHeads: [2, 2], batch: 1 }, { where: "resident" });
    await expect(loop.step([1])).rejects.toThrow("past_k_0 is padded from 0 to 4 rows");
    expect([kv.pastLen, loop.kv.pastLen]).toEqual([1, 0]);
  });

  test.each(["host", "resident"] as const)("of 63 rows behind one leaks nothing (%s)", async (where) => {
    const ranges = [{ start: 0, end: 65 }];
    using loop = decodeLoop(session, { past: "padded", kvHeads: [2, 2], batch: 1 }, { where, ranges });
    const expected = await recompute(session, [2, 2], [[3, 8, 15]]);
    for (const [n, id] of [3, 8, 15].entries()) {
      const { logits } = await loop.step([id]);
      expect(maxDifference(lastRow(logits, 0), expected[0]?.[n] ?? [])).toBeLessThan(1e-4);
    }
  });
});

test.each(["keep", "bias"] as const)("rows that were forgotten leak nothing, not even NaN (%s)", async (kind) => {
  const width = 4;
  const graph = (upper: number) =>
    define("forgotten", (g) => {
      const x = g.input("inputs_embeds", "f32", [1, 1, width]);
      const past = (name: string) => g.concat([g.input(name, "f32", [1, upper, width]), x], { axis: 1 });
      const [k, v] = [past("past_k_0"), past("past_v_0")];
      const mask = kind === "keep" ? g.input("mask", "bool", [1, upper + 1]) : g.input("mask", "f32", [1, 1, 1, upper + 1]);
      return { logits: g.attention(x, k, v, { numHeads: 1, numKvHeads: 1, headDim: width, mask, maskKind: kind }), k_0: k, v_0: v };
    });
  const build = (upper: number) => ({ graph: graph(upper), params: {} });
  using cache = new BucketedCompileCache(session, [{ start: 0, end: 9 }]);
  using binding = new GpuKvBinding();
  const [host, resident] = [new KvCacheState({ kvDims: [width] }), new KvCacheState({ kvDims: [width] })];
  const step = async (value: number) => {
    const call = { cache, build, inputs: { inputs_embeds: new Float32Array(width).fill(value) }, mask: { kind } };
    const runs = [await runBucketedKvDecode({ ...call, kv: host }), await runBucketedKvDecodeGpu({ ...call, kv: resident, binding })];
    return runs.map(({ logits }) => logits.toArray());
  };
  for (const value of [1, 2, Number.NaN, Number.POSITIVE_INFINITY]) await step(value);
  for (const kv of [host, resident]) kv.truncate(2);
  const [onHost, onDevice] = await step(3);
  expect(onDevice).toEqual(onHost);
  expect(onHost?.every(Number.isFinite)).toBe(true);
});

describe("windows", () => {
  const W = 4;
  const ids = [3, 8, 15, 1, 1, 4, 9, 0, 12, 5, 7];
  test.each([
    ["padded", "host"],
    ["padded", "resident"],
    ["symbolic", "host"],
    ["symbolic", "resident"],
  ] as const)("a trimmed cache gives the logits of an untrimmed one and of the window's definition (%s, %s)", async (past, where) => {
    const form = { past, kvHeads: [2, 2], batch: 1, window: W };
    const mask = { window: W };
    using whole = decodeLoop(session, form, { where: "host", mask });
    using trimmed = decodeLoop(session, form, { where, mask, ranges: [{ start: 0, end: 65 }] });
    const expected = await recompute(session, [2, 2], [ids], W);
    for (const [n, id] of ids.entries()) {
      const [a, b] = [await whole.step([id]), await trimmed.step([id])];
      for (const { logits } of [a, b]) expect(maxDifference(lastRow(logits, 0), expected[0]?.[n] ?? [])).toBeLessThan(1e-4);
      // In between, so that rows on the device are not trimmed every time.
      if (n % 3 === 1) {
        syncGpuKvToHost(trimmed.kv);
        trimmed.kv.trim(W - 1);
      }
    }
    syncGpuKvToHost(trimmed.kv);
    expect([trimmed.kv.pastLen, trimmed.kv.layersKvBase, trimmed.kv.rowsOf(0)]).toEqual([11, [8, 8], 3]);
    expect(maxDifference(trimmed.kv.layersK[1] ?? [], whole.kv.layersK[1]?.subarray(8 * 16) ?? [])).toBeLessThan(1e-5);
  });

  test("a cache trimmed in one layer alone needs a mask for each", async () => {
    using loop = decodeLoop(session, { past: "padded", kvHeads: [2, 2], batch: 1 }, { where: "host" });
    for (const id of [1, 2, 3]) await loop.step([id]);
    loop.kv.trim(1, [0]);
    await expect(loop.step([4])).rejects.toThrowErrorMatchingInlineSnapshot(
      `[DecodeGraphError: graph "tiny.padded.4": input mask: expected mask_0, mask_1, ... because layer 1 holds other rows than layer 0 (rows 0 to 3, new ones at 4, rows 0 to 1, new ones at 4)]`,
    );
  });

  test("a graph in state form would read trimmed rows", async () => {
    using loop = decodeLoop(session, { past: "state", kvHeads: [2, 2], batch: 1 }, { where: "host" });
    for (const id of [1, 2, 3]) await loop.step([id]);
    loop.kv.trim(1);
    await expect(loop.step([4])).rejects.toThrowErrorMatchingInlineSnapshot(
      `[DecodeGraphError: graph "tiny.state.5": expected an input mask: the rows before position 2 of past_k_0 were trimmed, and attention without a mask would read them]`,
    );
  });
});

describe("forms", () => {
  const kvHeads = [2, 1];
  const kvDims = kvDimsOf(kvHeads);
  const weights = tinyWeights(kvHeads);
  const form = { past: "padded", kvHeads, batch: 2 } as const;
  const inputs = { input_ids: Int32Array.of(3, 9) };
  const graph = (upper: number) => ({ graph: tinyGraph(upper, form, weights), params: weights });
  const hir = (upper: number) => ({ hir: tinyModel(upper, form), params: weights });

  test("differ in how a bucket's graph is made and found, and agree in what it computes", async () => {
    using store = new WeightStore(weights);
    using plain = new BucketedCompileCache(session, buckets);
    using modules = new BucketedCompileCache(session, buckets);
    using packed = new BucketedCompileCache(session, buckets, { weights: store });
    using batched = new BucketedCompileCache(session, batchedBuckets(buckets, [1, 2]));
    using binding = new GpuKvBinding();
    const built: number[][] = [];
    const fresh = () => ({ kv: new KvCacheState({ batch: 2, kvDims }), inputs });
    const results = [
      await runBucketedKvDecode({ ...fresh(), cache: plain, build: graph }),
      await runBucketedKvDecodeKeyed({ ...fresh(), cache: plain, key: 7, build: graph }),
      await runBucketedKvDecodeKeyedBatched({
        ...fresh(),
        cache: batched,
        build: (upper, batch) => {
          built.push([upper, batch]);
          return graph(upper);
        },
      }),
      await runBucketedKvDecodePacked({ ...fresh(), cache: packed, build: (upper) => tinyModel(upper, form) }),
      await runBucketedKvDecodePacked({ ...fresh(), cache: packed, build: (upper) => tinyGraph(upper, form, weights) }),
      await runBucketedKvDecodeHir({ ...fresh(), cache: modules, build: hir }),
      await runBucketedKvDecodeHirLayers({ ...fresh(), cache: modules, kvDims, build: (upper) => hir(upper) }),
      await runBucketedKvDecodeGpuHir({ ...fresh(), cache: modules, binding, build: hir }),
    ];
    expect(built).toEqual([[4, 2]]);
    expect(results.map(({ upper }) => upper)).toEqual([4, 8, 4, 4, 4, 4, 4, 4]);
    for (const { logits, kv, aux } of results) {
      expect(maxDifference(logits.values(), results[0]?.logits.values() ?? [])).toBeLessThan(1e-6);
      expect([kv.pastLen, Object.keys(aux)]).toEqual([1, ["next"]]);
    }
  });

  test("layers of other widths than the cache's are refused before anything is built", async () => {
    using cache = new BucketedCompileCache(session, buckets);
    const call = { cache, kv: new KvCacheState({ batch: 2, kvDims }), inputs, kvDims: [16, 16], build: hir };
    await expect(runBucketedKvDecodeHirLayers(call)).rejects.toThrowErrorMatchingInlineSnapshot(
      `[KvStateError: KV cache: kvDims: expected 16,8, as in the cache, got 16,16]`,
    );
  });

  test("a past of 200 is in the bucket of 224 of the linear ladder", async () => {
    using cache = new BucketedCompileCache(session, linearLadder(512));
    const rows = (width: number) => new Float32Array(2 * 200 * width);
    const kv = new KvCacheState({ batch: 2, kvDims, pastLen: 200, layersK: kvDims.map(rows), layersV: kvDims.map(rows) });
    expect((await runBucketedKvDecode({ cache, kv, inputs, build: graph })).upper).toBe(224);
    expect(kv.pastLen).toBe(201);
  });

  test("inputs may depend on the bucket, logits go where the caller wants them", async () => {
    using cache = new BucketedCompileCache(session, buckets);
    const kv = new KvCacheState({ batch: 2, kvDims });
    const into = new Float32Array(32);
    const spans: unknown[] = [];
    const perBucket = (span: unknown) => {
      spans.push(span);
      return inputs;
    };
    const { logits } = await runBucketedKvDecode({ cache, kv, inputs: perBucket, into, build: graph });
    expect([spans, logits.data === into, into.some((v) => v !== 0)]).toEqual([[{ upper: 4, pastLen: 0, batch: 2 }], true, true]);
  });
});

describe("refusals change nothing", () => {
  const weights = tinyWeights([2, 2]);
  const build = (upper: number) => ({ graph: tinyGraph(upper, { past: "padded", kvHeads: [2, 2], batch: 1 }, weights), params: weights });
  const inputs = { input_ids: Int32Array.of(1) };

  test.each([
    ["another number of layers", { kvDims: [16] }, "expected 2 layers, got 1"],
    ["another width", { kvDims: [16, 8] }, "past_k_1: expected rows of 16 elements, got 8"],
    ["another batch", { batch: 2, kvDims: [16, 16] }, "expected batch 1, got 2"],
  ])("%s", async (_, init, message) => {
    using cache = new BucketedCompileCache(session, buckets);
    const kv = new KvCacheState(init);
    await expect(runBucketedKvDecode({ cache, kv, inputs, build })).rejects.toThrow(`graph "tiny.padded.4": ${message}`);
    expect(kv.pastLen).toBe(0);
  });

  test("a past beyond the graph of a key, a past in no bucket, a cache in use", async () => {
    using cache = new BucketedCompileCache(session, buckets);
    const kv = new KvCacheState({ kvDims: [16, 16] });
    for (let i = 0; i < 5; i++) await runBucketedKvDecode({ cache, kv, inputs, build });
    await expect(runBucketedKvDecodeKeyed({ cache, kv, inputs, build, key: 1 })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[KvStateError: KV cache: graph "tiny.padded.4": past_k_0: expected at most 4 rows, got 5]`,
    );
    await expect(runBucketedKvDecodeKeyed({ cache, kv, inputs, build, key: 99 })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[OutOfBucketError: past 5: expected a key in [0, 5), [5, 9), [9, 17), [17, 33), got 99]`,
    );
    const [first, second] = [1, 2].map(() => runBucketedKvDecode({ cache, kv, inputs, build }));
    await expect(second).rejects.toThrow(new BusyError("KvCacheState"));
    await first;
    expect(kv.pastLen).toBe(6);
  });

  test("a graph that is not of the contract", async () => {
    const [batch, kv] = [1, new KvCacheState({ kvDims: [2] })];
    const past = dim("past", { min: 0, max: 8 });
    const caches = (g: GraphBuilder, leaf: "input" | "state", shape: readonly Dim[]) =>
      ["past_k_0", "past_v_0"].map((name) => g[leaf](name, "f32", shape)) as [Value, Value];
    const row = [batch, past, 2];
    const graphs: [message: string, Graph][] = [
      ["expected inputs or states past_k_0, past_v_0, ..., got none", define("g", (g) => ({ logits: g.input("x", "f32", [1]) }))],
      [
        "input past_v_0: expected f32[1, past, 2] as past_k_0, got f32[1, past, 3]",
        define("g", (g) => {
          const concat = (name: string, width: number) =>
            g.concat([g.input(name, "f32", [batch, past, width]), g.input(`new_${name}`, "f32", [batch, 1, width])], { axis: 1 });
          return { logits: g.input("x", "f32", [1]), k: concat("past_k_0", 2), v: concat("past_v_0", 3) };
        }),
      ],
      ["expected past_v_0 beside past_k_0", define("g", (g) => ({ logits: g.input("past_k_0", "f32", row) }))],
      [
        "outputs: expected logits, k_0, v_0, ... for 1 layers, got logits",
        define("g", (g) => ({ logits: g.add(...caches(g, "input", row)) })),
      ],
      [
        "output k: expected past_k_0 f32[1, past, 2] with the new rows behind it, got f32[1, past, 2]",
        define("g", (g) => {
          const [k, v] = caches(g, "input", row);
          return { logits: g.input("x", "f32", [1]), k: g.mul(k, 1), v: g.mul(v, 1) };
        }),
      ],
      [
        "expected an input input_ids or inputs_embeds [batch, rows, ...]",
        define("g", (g) => ({ logits: g.add(...caches(g, "state", [1, 8, 2])) })),
      ],
      [
        "state past_k_0: expected fixed extents [batch, capacity, kvDim] or [batch, heads, capacity, headDim], got f32[1, 8]",
        define("g", (g) => ({ logits: g.add(...caches(g, "state", [1, 8])) })),
      ],
    ];
    for (const [message, graph] of graphs) {
      using cache = new BucketedCompileCache(session, buckets);
      const step = runBucketedKvDecode({ cache, kv, inputs: {}, build: () => ({ graph, params: {} }) });
      await expect(step).rejects.toThrow(`graph "g": ${message}`);
    }
    expect(kv.pastLen).toBe(0);
  });
});

test("scores of a mask come as keep, as floats, or as a bias", async () => {
  const graph = (dtype: "f32" | "bool", rank: 2 | 4, keys = 6) =>
    define("masks", (g) => {
      const x = g.input("inputs_embeds", "f32", [1, 2, 1]);
      const mask = g.input("mask", dtype, rank === 2 ? [1, keys] : [1, 1, 2, keys]);
      const [k, v] = ["past_k_0", "past_v_0"].map((name) => g.concat([g.input(name, "f32", [1, 4, 1]), x], { axis: 1 }));
      return { logits: g.cast(mask, { dtype: "f32" }), ...(k && v ? { k, v } : {}) };
    });
  const maskOf = async (made: Graph, mask: object) => {
    using cache = new BucketedCompileCache(session, [{ start: 0, end: 5 }]);
    const rows = () => [new Float32Array(2)];
    const kv = new KvCacheState({ kvDims: [1], pastLen: 2, layersK: rows(), layersV: rows() });
    const call = { cache, kv, inputs: { inputs_embeds: Tensor.zeros("f32", [1, 2, 1]) }, build: () => ({ graph: made, params: {} }), mask };
    return (await runBucketedKvDecode(call)).logits.toArray();
  };
  const X = Number.NEGATIVE_INFINITY;
  expect(await maskOf(graph("bool", 2), {})).toEqual([1, 1, 0, 0, 1, 1]);
  expect(await maskOf(graph("f32", 4), {})).toEqual([1, 1, 0, 0, 1, 0, 1, 1, 0, 0, 1, 1]);
  expect(await maskOf(graph("f32", 4), { window: 2 })).toEqual([0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1]);
  expect(await maskOf(graph("f32", 4), { kind: "bias", window: 1 })).toEqual([X, X, X, X, 0, X, X, X, X, X, X, 0]);
  await expect(maskOf(graph("bool", 2), { window: 2 })).rejects.toThrowErrorMatchingInlineSnapshot(
    `[KvStateError: KV cache: mask bool[1, 6]: expected an axis of queries for a window and 2 new rows, got none]`,
  );
  await expect(maskOf(graph("bool", 2, 5), {})).rejects.toThrow("mask bool[1, 5]: expected 6 keys, got 5");
});
