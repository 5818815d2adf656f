import { readFileSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { kvFormatBytes, kvFormats } from "@rlxjs/ir";
import { families, KvCacheError, type KvCacheOption } from "@rlxjs/models-core";
import { loadModel, openModel } from "@rlxjs/models-core/node";
import { Session } from "@rlxjs/runtime";
import "@rlxjs/backend-cpu";
import { describe, expect, test } from "vitest";
import { typesOf } from "../src/graphs.ts";
import { largestDifference } from "./golden.ts";
import { randomModel } from "./random-model.ts";

const demo = fileURLToPath(new URL("../../models-core/test/fixtures/demo-model", import.meta.url));
const golden = fileURLToPath(new URL("../../models-core/test/fixtures/hf-models/", import.meta.url));
const stories: readonly { readonly prompt: string }[] = JSON.parse(readFileSync(`${demo}/golden.json`, "utf8")).meta.prompts;

/** The largest error of a logit, as a share of the largest logit, that each format may make on the demo model: about twice what was measured. */
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

test.each(["llama-gqa", "mistral-swa", "gemma3-text"])("%s: native kernels and references give the same logits", async (name) => {
  for (const kvCache of compressed) {
    using native = await loadModel(golden + name, { kvCache, kernels: "native" });
    using reference = await loadModel(golden + name, { kvCache, kernels: "reference" });
    const text = ids(50, 8).map((id) => id % 300);
    const expected = (await reference.logits(text)).toArray();
    // Keys that differ in their last bit may be rounded to different codes.
    const peak = expected.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
    expect(largestDifference(expected, (await native.logits(text)).toArray()), JSON.stringify(kvCache)).toBeLessThanOrEqual(5e-3 * peak);
  }
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

/** Llama with two heads of a size. Its weights are random, which makes it far more sensitive than a trained model. */
const wide = (headDim: number) =>
  randomModel(
    {
      model_type: "llama",
      vocab_size: 131,
      hidden_size: 64,
      intermediate_size: 96,
      num_hidden_layers: 2,
      num_attention_heads: 2,
      num_key_value_heads: 1,
      head_dim: headDim,
      max_position_embeddings: 64,
      rms_norm_eps: 1e-6,
      tie_word_embeddings: false,
      rope_theta: 10_000,
    },
    headDim,
  );

test.each<[number, KvCacheOption, number]>([
  [256, "mlx-native-v1:4", 0.5],
  [256, "lloyd-max-v2:4", 0.5],
  [256, "mlx-native-v1:8", 6e-2],
  [256, "lloyd-max-v2:8", 6e-2],
  [512, { k: "mlx-native-v1:6", v: "mlx-native-v1:5" }, 0.3],
  [512, { k: "lloyd-max-v2:6", v: "mlx-native-v1:8" }, 0.2],
])("heads of %i in a cache of %j", async (headDim, kvCache, bound) => {
  const directory = await wide(headDim);
  using exact = await loadModel(directory, { kvCache: "f32" });
  using model = await loadModel(directory, { kvCache });
  const text = ids(40, 9).map((id) => id % 131);
  const expected = (await exact.logits(text)).toArray();
  const peak = expected.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
  const given = (await model.logits(text, { mode: "decode" })).toArray();
  expect(largestDifference(expected, given)).toBeLessThanOrEqual(bound * peak);
  expect(given).not.toEqual(expected);
  rmSync(directory, { recursive: true });
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
  const odd = await wide(20);
  await expect(loadModel(odd, { kvCache: "tq4" })).rejects.toThrowErrorMatchingInlineSnapshot(
    `[KvCacheError: kvCache.k: expected a format for the model's head dim 20 (f32, f16, bf16, q8_0), got lloyd-max-v2:4, which does not take it]`,
  );
  rmSync(odd, { recursive: true });
});
