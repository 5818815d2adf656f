import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { kvFormatBytes, kvFormats } from "@rlxjs/ir";
import { families, KvCacheError, type KvCacheOption, kvFormatsOf, type LanguageModel } from "@rlxjs/models-core";
import { loadModel, openModel } from "@rlxjs/models-core/node";
import { Session } from "@rlxjs/runtime";
import "@rlxjs/backend-cpu";
import { describe, expect, test } from "vitest";
import { typesOf } from "../src/graphs.ts";
import { largestDifference } from "./golden.ts";

const demo = fileURLToPath(new URL("../../models-core/test/fixtures/demo-model", import.meta.url));
const golden = fileURLToPath(new URL("../../models-core/test/fixtures/hf-models/", import.meta.url));
const stories: readonly { readonly prompt: string }[] = JSON.parse(readFileSync(`${demo}/golden.json`, "utf8")).meta.prompts;

/** The largest error of a logit, as a share of the largest logit, that each format may make on the demo model: twice what was measured. */
const bounds: readonly (readonly [KvCacheOption, number])[] = [
  ["f16", 2e-4],
  ["bf16", 2e-3],
  ["q8_0", 3e-3],
  ["tq8", 4e-3],
  ["tq6", 1.5e-2],
  ["tq5", 4e-2],
  ["tq4", 8e-2],
  [{ k: "q8_0", v: "tq4" }, 4e-2],
  [{ k: "tq5", v: "f16" }, 4e-2],
];
const compressed: readonly KvCacheOption[] = ["q8_0", "tq4", { k: "q8_0", v: "tq5" }];
const ids = (n: number, seed: number): number[] => Array.from({ length: n }, (_, i) => 3 + ((i * 37 + seed * 101) % 1000));

async function greedy(model: LanguageModel, prompt: readonly number[], maxTokens = 8): Promise<number[]> {
  const out: number[] = [];
  for await (const piece of model.generate(prompt, { maxTokens, stopTokens: [] })) out.push(...piece.ids);
  return out;
}

describe("the demo model", async () => {
  using exact = await loadModel(demo, { kvCache: "f32" });
  const texts = await Promise.all(stories.map(async ({ prompt }) => exact.encode(prompt + (await exact.complete(prompt)))));
  const expected: number[][] = [];
  for (const text of texts) expected.push((await exact.logits(text)).toArray());

  test.each(bounds)(
    "with a cache of %j: logits within the bound, by prefill and by decode; tales keep their form",
    async (kvCache, bound) => {
      using model = await loadModel(demo, { kvCache });
      for (const [i, text] of texts.entries()) {
        const exactLogits = expected[i] ?? [];
        const peak = exactLogits.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
        const full = (await model.logits(text)).values();
        const error = largestDifference(exactLogits, full);
        expect(error).toBeLessThanOrEqual(bound * peak);
        expect(error).toBeGreaterThan(0);
        // A token attends to the very bytes that are in the cache, however many tokens a run takes.
        const decode = (await model.logits(text, { mode: "decode" })).values();
        expect(largestDifference(full, decode)).toBeLessThanOrEqual(1e-4 * peak);
      }
      for (const { prompt } of stories) expect(prompt + (await model.complete(prompt))).toMatch(/ learned that .*\. The end\.$/);
    },
  );
});

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
    expect(a.snapshot()).toEqual(b.snapshot());
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
    expect(sequence.snapshot().bytes).toBe(7 * perToken);
  });
});

test.each(["llama-gqa", "qwen3-qknorm", "gemma3-text"])("%s: the memory of every format, padded blocks of q8_0 included", async (name) => {
  using opened = await openModel(golden + name);
  using session = await Session.open({ device: "cpu" });
  const { config } = opened;
  const family = families[config.architecture];
  if (family.kind !== "decoder") throw new Error("expected a decoder");
  const formats = kvFormats.filter((format) => !format.startsWith("mlx-native-v1"));
  for (const [i, k] of formats.entries()) {
    const v = formats[(i + 3) % formats.length] ?? "f16";
    const plan = { name, batch: 1, seq: 1, capacity: 37, kvFormats: { k, v }, output: "last" } as const;
    const hir = family.build(config, (weight) => opened.checkpoint.has(weight), plan);
    using compiled = await session.compile(hir, { params: typesOf(opened) });
    const perToken = config.numLayers * config.numKvHeads * (kvFormatBytes(k, config.headDim) + kvFormatBytes(v, config.headDim));
    expect(compiled.memoryReport.stateBytes, `${k} and ${v}`).toBe(37 * perToken);
  }
});

test("formats that do not exist, or that the model's heads cannot use, are refused when the model is loaded", async () => {
  const load = (kvCache: KvCacheOption | string) => loadModel(`${golden}llama-gqa`, { kvCache: kvCache as KvCacheOption });
  await expect(load("tq3")).rejects.toThrowErrorMatchingInlineSnapshot(
    `[KvCacheError: kvCache: expected one of f32, f16, bf16, q8_0, mlx-native-v1:4, mlx-native-v1:5, mlx-native-v1:6, mlx-native-v1:8, lloyd-max-v2:4, lloyd-max-v2:5, lloyd-max-v2:6, lloyd-max-v2:8, tq8, tq6, tq5, tq4, got tq3]`,
  );
  await expect(load({ k: "f16", v: "q4_0" as "f16" })).rejects.toThrowErrorMatchingInlineSnapshot(
    `[KvCacheError: kvCache.v: expected one of f32, f16, bf16, q8_0, mlx-native-v1:4, mlx-native-v1:5, mlx-native-v1:6, mlx-native-v1:8, lloyd-max-v2:4, lloyd-max-v2:5, lloyd-max-v2:6, lloyd-max-v2:8, tq8, tq6, tq5, tq4, got q4_0]`,
  );
  await expect(load("mlx-native-v1:8")).rejects.toThrowErrorMatchingInlineSnapshot(
    `[KvCacheError: kvCache.k: expected a format for the model's head dim 16 (f32, f16, bf16, q8_0, lloyd-max-v2:4, lloyd-max-v2:5, lloyd-max-v2:6, lloyd-max-v2:8), got mlx-native-v1:8, which does not take it]`,
  );
  await expect(load({ v: "mlx-native-v1:4" })).rejects.toThrow(KvCacheError);
});
