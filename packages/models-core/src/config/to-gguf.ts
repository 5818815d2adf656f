import { ModelConfigError } from "../errors.ts";
import type { GgufValue } from "../gguf/metadata.ts";
import type { ModelConfig, RopeConfig } from "./model-config.ts";
import { ropeFrequencies } from "./rope-frequencies.ts";

/** Settings as GGUF metadata, and the divisors of the rope's frequencies where the format wants them as a tensor. */
export interface GgufSettings {
  readonly values: ReadonlyMap<string, GgufValue>;
  /** `rope_freqs.weight`, [rope.dim / 2]. */
  readonly ropeDivisors: readonly number[] | undefined;
}

/** Throws ModelConfigError for a setting that GGUF cannot hold. */
export function configToGguf(config: ModelConfig, file = "config.json"): GgufSettings {
  const { architecture, rope, moe } = config;
  const values = new Map<string, GgufValue>();
  const key = (k: string): string => `${architecture}.${k}`;
  const u32 = (k: string, value: number | undefined): void => {
    if (value !== undefined) values.set(key(k), { type: "u32", value });
  };
  const f32 = (k: string, value: number | undefined): void => {
    if (value !== undefined) values.set(key(k), { type: "f32", value });
  };
  values.set("general.architecture", { type: "string", value: architecture });
  u32("context_length", config.maxPositions);
  u32("embedding_length", config.hiddenSize);
  u32("block_count", config.numLayers);
  u32("feed_forward_length", config.intermediateSize);
  u32("attention.head_count", config.numHeads);
  u32("attention.head_count_kv", config.numKvHeads);
  u32("attention.key_length", config.headDim);
  u32("attention.value_length", config.headDim);
  u32("vocab_size", config.vocabSize);
  f32(architecture === "bert" ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon", config.normEps);
  f32("attn_logit_softcapping", config.attentionSoftcap);
  f32("final_logit_softcapping", config.finalSoftcap);
  if (architecture === "gemma3") f32("attention.scale", config.attentionScale);
  setLayers(values, config, key);
  if (moe) {
    u32("expert_count", moe.numExperts);
    u32("expert_used_count", moe.numExpertsPerToken);
    u32("expert_feed_forward_length", moe.intermediateSize);
    values.set(key("expert_weights_norm"), { type: "bool", value: moe.normalize });
  }
  if (config.bert) {
    values.set(key("attention.causal"), { type: "bool", value: false });
    values.set("tokenizer.ggml.token_type_count", { type: "u32", value: config.bert.typeVocabSize });
  }
  if (!rope) return { values, ropeDivisors: undefined };
  u32("rope.dimension_count", rope.dim);
  f32("rope.freq_base", rope.theta);
  f32("rope.freq_base_swa", config.localRope?.theta);
  return { values, ropeDivisors: setScaling(values, file, rope, config, key) };
}

function setLayers(values: Map<string, GgufValue>, config: ModelConfig, key: (k: string) => string): void {
  if (config.slidingWindow === undefined) return;
  values.set(key("attention.sliding_window"), { type: "u32", value: config.slidingWindow });
  const sliding = config.layerTypes.map((t) => t === "sliding");
  const usual = sliding.every((s, i) => s === (config.architecture !== "gemma3" || (i + 1) % 6 !== 0));
  if (!usual) values.set(key("attention.sliding_window_pattern"), { type: "array", of: "bool", value: sliding });
}

function setScaling(
  values: Map<string, GgufValue>,
  file: string,
  rope: RopeConfig,
  config: ModelConfig,
  key: (k: string) => string,
): readonly number[] | undefined {
  const { scaling } = rope;
  const set = (type: string, factor: number): void => {
    values.set(key("rope.scaling.type"), { type: "string", value: type });
    values.set(key("rope.scaling.factor"), { type: "f32", value: factor });
  };
  if (config.architecture === "llama" && rope.dim !== config.headDim)
    throw new ModelConfigError(file, "partial_rotary_factor", "1, as llama GGUF files rotate whole heads", `${rope.dim / config.headDim}`);
  const local = config.localRope?.scaling.type ?? "none";
  if (local !== "none") throw new ModelConfigError(file, "rope_parameters.sliding_attention.rope_type", "default for GGUF", local);
  switch (scaling.type) {
    case "none":
      return undefined;
    case "linear":
      set("linear", scaling.factor);
      return undefined;
    case "divisors":
      return scaling.divisors;
    case "llama3": {
      const scaled = ropeFrequencies(rope).invFreq;
      return [...ropeFrequencies({ ...rope, scaling: { type: "none" } }).invFreq].map((f, i) => f / (scaled[i] ?? f));
    }
    case "yarn": {
      if (!scaling.truncate) throw new ModelConfigError(file, "rope_parameters.truncate", "true for GGUF", "false");
      set("yarn", scaling.factor);
      values.set(key("rope.scaling.original_context_length"), { type: "u32", value: scaling.originalMaxPositions });
      values.set(key("rope.scaling.yarn_beta_fast"), { type: "f32", value: scaling.betaFast });
      values.set(key("rope.scaling.yarn_beta_slow"), { type: "f32", value: scaling.betaSlow });
      // GGUF's factor comes on top of YaRN's own.
      const own = scaling.factor <= 1 ? 1 : 0.1 * Math.log(scaling.factor) + 1;
      values.set(key("rope.scaling.attn_factor"), { type: "f32", value: ropeFrequencies(rope).attentionFactor / own });
      return undefined;
    }
    case "dynamic":
      throw new ModelConfigError(file, "rope_type", "default, linear, llama3 or yarn for GGUF", "dynamic");
  }
}
