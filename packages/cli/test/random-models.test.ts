import { rmSync } from "node:fs";
import { join } from "node:path";
import { Rng } from "@rlxjs/ir";
import { convertDirectory, loadModel } from "@rlxjs/models-core/node";
import "@rlxjs/backend-cpu";
import { expect, test } from "vitest";
import { randomModel } from "./random-model.ts";

const base = {
  vocab_size: 131,
  hidden_size: 60,
  intermediate_size: 100,
  num_hidden_layers: 3,
  num_attention_heads: 5,
  num_key_value_heads: 5,
  head_dim: 12,
  max_position_embeddings: 128,
  rms_norm_eps: 1e-6,
  tie_word_embeddings: false,
};
const configs = {
  "llama, 5 heads of 12": { ...base, model_type: "llama", rope_theta: 10_000 },
  "llama, head_dim that is not width / heads, one kv head, tied": {
    ...base,
    model_type: "llama",
    head_dim: 20,
    num_key_value_heads: 1,
    tie_word_embeddings: true,
    rope_theta: 500_000,
  },
  "llama with attention biases": { ...base, model_type: "llama", attention_bias: true },
  "llama with llama3 rope scaling": {
    ...base,
    model_type: "llama",
    rope_theta: 10_000,
    rope_scaling: { rope_type: "llama3", factor: 4, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 32 },
  },
  "llama with linear rope scaling, newer dialect": {
    ...base,
    model_type: "llama",
    rope_parameters: { rope_type: "linear", factor: 2, rope_theta: 10_000 },
  },
  "llama with yarn": {
    ...base,
    model_type: "llama",
    rope_parameters: { rope_type: "yarn", factor: 4, rope_theta: 10_000, original_max_position_embeddings: 32 },
  },
  "mistral, window of 7": { ...base, model_type: "mistral", sliding_window: 7 },
  qwen3: { ...base, model_type: "qwen3", head_dim: 36, hidden_size: 72 },
  "qwen3-moe, 5 experts": {
    ...base,
    model_type: "qwen3_moe",
    num_experts: 5,
    num_experts_per_tok: 3,
    moe_intermediate_size: 44,
    norm_topk_prob: false,
    num_key_value_heads: 1,
  },
  "gemma3, 8 layers": {
    ...base,
    model_type: "gemma3_text",
    num_hidden_layers: 8,
    sliding_window: 9,
    sliding_window_pattern: 3,
    query_pre_attn_scalar: 17,
    rope_theta: 1_000_000,
    rope_local_base_freq: 10_000,
    tie_word_embeddings: true,
    final_logit_softcapping: 20,
  },
};

/** Largest difference, relative to the largest magnitude. */
function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  let difference = 0;
  let peak = 0;
  for (let i = 0; i < b.length; i++) {
    difference = Math.max(difference, Math.abs((a[i] ?? Number.NaN) - (b[i] ?? 0)));
    peak = Math.max(peak, Math.abs(b[i] ?? 0));
  }
  return difference / peak;
}

test.each(Object.entries(configs))("%s: native and reference agree, by prefill and by decode, and so does the GGUF", async (_, config) => {
  const directory = await randomModel(config, 5);
  try {
    const rng = new Rng(9);
    const ids = Array.from({ length: 70 }, () => rng.int(0, config.vocab_size - 1));
    using reference = await loadModel(directory, { kernels: "reference", kvCache: "f32" });
    using native = await loadModel(directory, { kvCache: "f32" });
    const expected = (await reference.logits(ids)).values();
    expect(distance((await native.logits(ids)).values(), expected)).toBeLessThan(2e-5);
    expect(distance((await native.logits(ids, { mode: "decode" })).values(), expected)).toBeLessThan(2e-5);
    const file = join(directory, "model.gguf");
    await convertDirectory(directory, file, { type: "f32" });
    using gguf = await loadModel(file, { kvCache: "f32" });
    expect(distance((await gguf.logits(ids)).values(), expected)).toBeLessThan(2e-5);
    using half = await loadModel(directory, { kvCache: "f16" });
    const rounded = (await half.logits(ids, { mode: "decode" })).values();
    const row = (v: typeof rounded, i: number) => v.subarray(i * config.vocab_size, (i + 1) * config.vocab_size);
    const off = ids.filter((_, i) => distance(row(rounded, i), row(expected, i)) > 2e-2).length;
    // A rounded key may tip the choice between two experts that score alike; without experts nothing is discontinuous.
    expect(off).toBeLessThanOrEqual("num_experts" in config ? ids.length / 4 : 0);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
