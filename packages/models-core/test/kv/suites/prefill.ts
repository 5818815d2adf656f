import { dim, type HirModule, Tensor } from "@rlxjs/ir";
import { BucketedCompileCache, WeightStore } from "@rlxjs/runtime";
import { afterAll, describe, expect, test } from "vitest";
import {
  batchedBuckets,
  GpuKvBinding,
  KvStateError,
  type KvPrefillOptions,
  prefillCacheKey,
  runPackedPrefill,
  syncGpuKvToHost,
} from "../../../src/index.ts";
import { StatePlace } from "../../../src/kv/state-place.ts";
import { decodeLoop, greedy, lastRow, maxDifference, recompute } from "../decode-loop.ts";
import { prefillModel, tinyModel, tinyVocab, tinyWeights } from "../tiny-model.ts";
import type { OpenSession } from "../../../../runtime/test/suites/open-session.ts";

export async function packedPrefillSuite(open: OpenSession): Promise<void> {
  const session = await open();
  afterAll(() => session[Symbol.dispose]());

  const kvHeads = [2, 1];
  const prompts = [
    [3, 8, 15, 2, 9],
    [14, 1, 1, 0, 6],
    [5, 5, 5, 11, 4],
  ];

  /** What prefills a bucket of up to `upper` tokens. */
  const modules = {
    "no past": (upper: number, batch: number) => prefillModel(dim("seq", { min: 1, max: upper }), { kvHeads, batch }),
    symbolic: (upper: number, batch: number) =>
      tinyModel(upper, { past: "symbolic", kvHeads, batch, rows: dim("seq", { min: 1, max: upper }) }),
    state: (upper: number, batch: number) => tinyModel(upper, { past: "state", kvHeads, batch, rows: dim("seq", { min: 1, max: upper }) }),
  } satisfies Record<string, (upper: number, batch: number) => HirModule>;

  describe.each(Object.keys(modules) as (keyof typeof modules)[])("a graph with %s", (kind) => {
    test.each([1, 3])("batch %i: prefill, then decode, gives the logits of a full recompute", async (batch) => {
      using weights = new WeightStore(tinyWeights(kvHeads));
      using cache = new BucketedCompileCache(session, batchedBuckets([{ start: 1, end: 17 }], [batch]), { weights });
      const ids = prompts.slice(0, batch).map((p) => [...p]);
      const { logits, kv, aux } = await runPackedPrefill({
        cache,
        batch,
        seq: 5,
        key: prefillCacheKey(batch, 5),
        aux: kind === "no past" ? 1 : 0,
        inputs: { input_ids: Int32Array.from(ids.flat()) },
        build: () => modules[kind](16, batch),
      });
      expect([logits.shape, kv.pastLen, Object.keys(aux)]).toEqual([[batch, 5, tinyVocab], 5, ["next"]]);
      const start = kind === "state" ? "state" : "padded";
      using loop = decodeLoop(session, { past: start, kvHeads, batch }, { where: "resident", kv });
      let result = logits;
      for (let n = 0; n < 6; n++) {
        const expected = await recompute(session, kvHeads, ids);
        for (const [b, rows] of expected.entries()) expect(maxDifference(lastRow(result, b), rows.at(-1) ?? [])).toBeLessThan(1e-4);
        const next = greedy(result);
        for (const [b, sequence] of ids.entries()) sequence.push(next[b] ?? 0);
        result = (await loop.step(next)).logits;
      }
    });
  });

  test("rows of a prefill stay on the device for a graph with the same states, and nothing is copied", async () => {
    const params = tinyWeights(kvHeads);
    using weights = new WeightStore(params);
    using cache = new BucketedCompileCache(session, [{ start: 1, end: 34 }], { weights });
    using binding = new GpuKvBinding();
    const inputs = { input_ids: Int32Array.from(prompts[0] ?? []) };
    const { kv } = await runPackedPrefill({ cache, seq: 5, inputs, build: () => modules.state(33, 1), binding });
    expect([kv.pastLen, kv.hostLen, binding.kv === kv]).toEqual([5, 0, true]);
    const prefill = binding.compiled;
    const states = () => (kv.onDevice?.place instanceof StatePlace ? kv.onDevice.place.runOptions().state : undefined);
    const before = states();
    using loop = decodeLoop(
      session,
      { past: "state", kvHeads, batch: 1 },
      { where: "resident", kv, binding, ranges: [{ start: 0, end: 33 }] },
    );
    const { logits } = await loop.step([7]);
    expect([binding.compiled === prefill, before !== undefined, states() === before]).toEqual([false, true, true]);
    const expected = await recompute(session, kvHeads, [[...(prompts[0] ?? []), 7]]);
    expect(maxDifference(lastRow(logits, 0), expected[0]?.[5] ?? [])).toBeLessThan(1e-4);
    syncGpuKvToHost(kv);
    expect(kv.hostLen).toBe(6);
  });

  describe("refusals", () => {
    const prefill = async (options: Partial<KvPrefillOptions>) => {
      using weights = new WeightStore(tinyWeights(kvHeads));
      using cache = new BucketedCompileCache(session, [{ start: 1, end: 9 }], { weights });
      const inputs = { input_ids: Int32Array.from(prompts[0] ?? []) };
      return await runPackedPrefill({ cache, seq: 5, inputs, build: (upper) => modules["no past"](upper, 1), aux: 1, ...options });
    };
    test("a graph of a fixed number of tokens takes padding for tokens", async () => {
      const fixed = { build: () => prefillModel(8, { kvHeads, batch: 1 }), inputs: { input_ids: new Int32Array(8) } };
      await expect(prefill(fixed)).rejects.toThrowErrorMatchingInlineSnapshot(
        `[KvStateError: KV cache: prefill: expected rows for the 5 tokens of the prompt, got 8: the graph's number of tokens has to be symbolic, so that padding is not computed]`,
      );
    });
    test("a prompt in no bucket, an empty one, a binding without a past, too few outputs", async () => {
      await expect(prefill({ seq: 9 })).rejects.toThrowErrorMatchingInlineSnapshot(
        `[OutOfBucketError: prompt of 9: expected a key in [1, 9), got 9]`,
      );
      await expect(prefill({ seq: 0 })).rejects.toThrow(KvStateError);
      using binding = new GpuKvBinding();
      await expect(prefill({ binding })).rejects.toThrowErrorMatchingInlineSnapshot(
        `[KvStateError: KV cache: graph "tiny.none.1": expected a graph with a past, whose rows can stay on the device]`,
      );
      await expect(prefill({ aux: 0 })).rejects.toThrowErrorMatchingInlineSnapshot(
        `[KvStateError: KV cache: outputs after the logits: expected 4 keys and values (2 layers), got 5]`,
      );
      await expect(prefill({ batch: 2 })).rejects.toThrowErrorMatchingInlineSnapshot(
        `[KvStateError: KV cache: prefill: expected a batch of 2, got 1]`,
      );
    });
    test("a prefill that is aborted leaves nothing", async () => {
      await expect(prefill({ signal: AbortSignal.abort(new Error("stop")) })).rejects.toThrow("stop");
      expect((await prefill({ inputs: { input_ids: new Tensor("i32", [1, 5], Int32Array.from(prompts[0] ?? [])) } })).kv.pastLen).toBe(5);
    });
  });
}
