import { fileURLToPath } from "node:url";
import { kvFormatBytes } from "@rlxjs/ir";
import { type KvCacheOption, kvFormatsOf, type LanguageModel } from "@rlxjs/models-core";
import { loadModel } from "@rlxjs/models-core/node";
import "@rlxjs/backend-cpu";
import { describe, expect, test } from "vitest";

const demo = fileURLToPath(new URL("../../models-core/test/fixtures/demo-model", import.meta.url));
const compressed: readonly KvCacheOption[] = ["q8_0", "tq4", { k: "q8_0", v: "tq5" }];
const ids = (n: number, seed: number): number[] => Array.from({ length: n }, (_, i) => 3 + ((i * 37 + seed * 101) % 1000));

async function greedy(model: LanguageModel, prompt: readonly number[], maxTokens = 8): Promise<number[]> {
  const out: number[] = [];
  for await (const piece of model.generate(prompt, { maxTokens, stopTokens: [] })) out.push(...piece.ids);
  return out;
}

describe.each(compressed)("a cache of %j", (kvCache) => {
  test("truncated and written again it continues as a new one", async () => {
    using model = await loadModel(demo, { kvCache });
    using a = await model.createSequence();
    using b = await model.createSequence();
    const [first, second] = [ids(40, 1), ids(40, 2)];
    await a.append(first, { logits: false });
    a.truncate(15);
    await b.append(first.slice(0, 15), { logits: false });
    const [x, y] = [await a.append(second, { logits: true }), await b.append(second, { logits: true })];
    expect(x.logits).toEqual(y.logits);
    expect(await a.snapshot()).toEqual(await b.snapshot());
    using c = await model.createSequence();
    await c.restore(await a.snapshot(15));
    expect((await c.append(second, { logits: true })).logits).toEqual(y.logits);
  });

  test("a prompt that shares a prefix uses it, and its text is the same", async () => {
    using model = await loadModel(demo, { kvCache });
    using fresh = await loadModel(demo, { kvCache });
    await greedy(model, ids(60, 3));
    const shared = [...ids(60, 3).slice(0, 41), ...ids(20, 4)];
    let reused = 0;
    const out: number[] = [];
    for await (const piece of model.generate(shared, { maxTokens: 8, stopTokens: [] })) {
      out.push(...piece.ids);
      reused = piece.summary?.reusedTokens ?? 0;
    }
    expect(reused).toBe(41);
    expect(out).toEqual(await greedy(fresh, shared));
  });

  test("two sequences at once do not disturb each other", async () => {
    using model = await loadModel(demo, { kvCache });
    const alone = [await greedy(model, ids(20, 5)), await greedy(model, ids(25, 6))];
    expect(await Promise.all([greedy(model, ids(20, 5)), greedy(model, ids(25, 6))])).toEqual(alone);
  });

  test("its states take the bytes that the format says", async () => {
    using model = await loadModel(demo, { kvCache, contextLength: 100 });
    const { numLayers, numKvHeads, headDim } = model.config;
    const { k, v } = kvFormatsOf(kvCache);
    const perToken = numLayers * numKvHeads * (kvFormatBytes(k, headDim) + kvFormatBytes(v, headDim));
    expect(model.kvCache).toEqual({ k, v, bytesPerToken: perToken });
    using sequence = await model.createSequence();
    await sequence.append(ids(7, 7), { logits: false });
    expect((await sequence.snapshot()).bytes).toBe(7 * perToken);
  });
});
