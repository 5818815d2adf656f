import { BucketedCompileCache } from "@rlxjs/runtime";
import { afterAll, describe, expect, test } from "vitest";
import { KvCacheState, replicateBias, runBucketedKvMtp, syncGpuKvToHost, windowBias } from "../../../src/index.ts";
import {
  type BlockRunner,
  blockBuckets,
  blockGraph,
  blockRunner,
  blockVocab,
  blockWeights,
  type RunnerOptions,
} from "../../speculative/block-model.ts";
import type { OpenSession } from "../../../../runtime/test/suites/open-session.ts";

/** Where the past is. */
type Form = Pick<RunnerOptions, "past" | "where">;
const allForms = (["padded", "symbolic", "state"] as const).flatMap((past) =>
  (["host", "resident"] as const).map((where): Form => ({ past, where })),
);

export async function bucketedMtpSuite(open: OpenSession, forms: readonly Form[] = allForms): Promise<void> {
  const weights = blockWeights();
  const maskId = 6;
  const block = 4;
  const session = await open();
  afterAll(() => session[Symbol.dispose]());

  /** Tokens [batch, n], different for each sequence. */
  const tokens = (batch: number, n: number, from = 0): number[] =>
    Array.from({ length: batch * n }, (_, i) => 10 + ((((i % n) + from) * 7 + Math.floor(i / n) * 31) % 90));
  /** A copy of the last of `past` tokens, and placeholders. */
  const blockIds = (batch: number, past: number): number[] =>
    Array.from({ length: batch }, (_, b) => [
      tokens(batch, past)[(b + 1) * past - 1] ?? 0,
      ...new Array<number>(block - 1).fill(maskId),
    ]).flat();
  const largest = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
    expect(a.length).toBe(b.length);
    return Math.max(0, ...Array.from(a, (v, i) => Math.abs(v - (b[i] ?? Number.NaN))));
  };

  /** The slab [batch, block, vocab] of one run without a cache, under the mask of the whole window. */
  async function recompute(batch: number, past: number): Promise<number[]> {
    using cache = new BucketedCompileCache(session, blockBuckets);
    const kv = new KvCacheState({ batch, kvDims: [16, 8] });
    const window = Array.from({ length: batch }, (_, b) => [
      ...tokens(batch, past).slice(b * past, (b + 1) * past),
      ...blockIds(batch, past).slice(b * block, (b + 1) * block),
    ]).flat();
    const length = past + block;
    const { logits } = await runBucketedKvMtp({
      cache,
      kv,
      build: (upper) => ({ graph: blockGraph(upper, { past: "symbolic", batch }, weights), params: weights }),
      inputs: {
        input_ids: Int32Array.from(window),
        positions: Int32Array.from(window, (_, i) => (i % length) - (i % length < past ? 0 : 1)),
        mask: replicateBias(windowBias({ length, block, cached: true }), { batch, heads: 1 }),
      },
    });
    expect(kv.pastLen).toBe(0);
    return Array.from({ length: batch }, (_, b) =>
      Array.from(logits.values().slice((b * length + past) * blockVocab, (b + 1) * length * blockVocab)),
    ).flat();
  }

  const runnerOf = (options: Pick<RunnerOptions, "past" | "where"> & { readonly batch?: number }): BlockRunner =>
    blockRunner(session, { ...options, block, weights });
  /** Rows [batch, n, width] from position `from` on, per layer keys and values. */
  function rowsOf({ kv }: BlockRunner, from: number): number[][] {
    syncGpuKvToHost(kv);
    return [...kv.layersK, ...kv.layersV].map((rows, i) => {
      const width = kv.kvDims[i % kv.layers] ?? 0;
      return Array.from({ length: kv.batch }, (_, b) =>
        Array.from(rows.slice((b * kv.pastLen + from) * width, (b + 1) * kv.pastLen * width)),
      ).flat();
    });
  }

  describe.each(forms)("$past past, rows $where", (form) => {
    test.each([1, 2])("batch %i: the slab is that of a full recompute, for every past over three buckets", async (batch) => {
      using runner = runnerOf({ ...form, batch });
      for (let past = 1; past <= 19; past++) {
        // Each token has rows of its own: those of a block never stay.
        const step = tokens(batch, past).filter((_, i) => i % past === past - 1);
        await runner.append(step);
        const { logits, newRows } = await runner.block(blockIds(batch, past));
        expect([newRows, logits.shape]).toEqual([block, [batch, block, blockVocab]]);
        expect(runner.kv.pastLen).toBe(past);
        if ([1, 7, 8, 9, 16, 17, 19].includes(past)) expect(largest(logits.values(), await recompute(batch, past))).toBeLessThan(1e-4);
      }
    });

    test("any number of the rows can stay, and decoding goes on behind them", async () => {
      using all = runnerOf(form);
      await all.append(tokens(1, 6));
      const whole = await all.block(blockIds(1, 6));
      whole.commit();
      expect(all.kv.pastLen).toBe(6 + block);
      const kept = rowsOf(all, 6);
      const next = (await all.append([33])).values();
      for (let rows = 0; rows <= block; rows++) {
        using runner = runnerOf(form);
        await runner.append(tokens(1, 6));
        (await runner.block(blockIds(1, 6))).commit(rows);
        expect(runner.kv.pastLen).toBe(6 + rows);
        expect(rowsOf(runner, 6)).toEqual(kept.map((layer) => layer.slice(0, (layer.length / block) * rows)));
        const after = (await runner.append([33])).values();
        expect(largest(after, next) < 1e-6).toBe(rows === block);
      }
    });

    test("what stays can be cut again, across buckets", async () => {
      using runner = runnerOf(form);
      await runner.append(tokens(1, 7));
      for (let i = 0; i < 3; i++) {
        (await runner.block(blockIds(1, 7))).commit(block);
        await runner.append([40, 41]);
      }
      const before = (await runner.append([50])).values();
      expect(runner.kv.pastLen).toBe(7 + 3 * (block + 2) + 1);
      runner.kv.truncate(runner.kv.pastLen - 1);
      expect((await runner.append([50])).values()).toEqual(before);
      runner.kv.truncate(7);
      using fresh = runnerOf(form);
      await fresh.append(tokens(1, 7));
      expect(largest((await runner.append([50])).values(), (await fresh.append([50])).values())).toBeLessThan(1e-5);
    });

    test("a block that the cache went on without cannot be committed", async () => {
      using runner = runnerOf(form);
      await runner.append(tokens(1, 5));
      const first = await runner.block(blockIds(1, 5));
      expect(() => first.commit(block + 1)).toThrow("commit: expected a whole number from 0 to 4, got 5");
      const second = await runner.block(blockIds(1, 5));
      expect(() => first.commit(1)).toThrow("expected the cache as the block found it (5 positions), got one that went on");
      second.commit(2);
      expect(() => second.commit(1)).toThrow("got one that went on");
      expect(runner.kv.pastLen).toBe(7);
      // As many rows as before, but others.
      const third = await runner.block(blockIds(1, 7));
      syncGpuKvToHost(runner.kv);
      runner.kv.truncate(6);
      runner.kv.append([new Float32Array(16), new Float32Array(8)], [new Float32Array(16), new Float32Array(8)]);
      expect(() => third.commit(1)).toThrow("got one that went on");
    });

    test("an aborted block changes nothing", async () => {
      using runner = runnerOf(form);
      await runner.append(tokens(1, 5));
      const before = rowsOf(runner, 0);
      await expect(runner.block(blockIds(1, 5), AbortSignal.abort(new Error("enough")))).rejects.toThrow("enough");
      expect(rowsOf(runner, 0)).toEqual(before);
    });
  });

  test("the new rows of a block on the host are those that commit appends", async () => {
    using cache = new BucketedCompileCache(session, blockBuckets);
    const kv = new KvCacheState({ batch: 1, kvDims: [16, 8] });
    const form = { past: "padded", rows: block } as const;
    const { layersK, layersV, commit } = await runBucketedKvMtp({
      cache,
      kv,
      build: (upper) => ({ graph: blockGraph(upper, form, weights), params: weights }),
      inputs: { input_ids: Int32Array.from([1, 2, 3, 4]), positions: Int32Array.from([0, 1, 2, 3]) },
      mask: { kind: "bias", newRows: "block" },
    });
    expect(layersK.map((rows) => rows.length)).toEqual([block * 16, block * 8]);
    commit(3);
    expect(kv.layersK[0]).toEqual(layersK[0]?.slice(0, 3 * 16));
    expect(kv.layersV[1]).toEqual(layersV[1]?.slice(0, 3 * 8));
  });
}
