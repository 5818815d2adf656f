import { describe, expect, it } from "vitest";
import { type JsonObject, ModelConfigError, readHfConfig } from "../src/index.ts";
import { json } from "./fixtures.ts";

const golden = (name: string) => readHfConfig(json(`hf-models/${name}/config.json`));
const llama = { ...json("hf-models/llama-gqa/config.json"), rope_parameters: null };
const gemma = { ...json("hf-models/gemma3-text/config.json") };
const read = (json: JsonObject) => readHfConfig(json);
const without = (json: JsonObject, ...keys: string[]): JsonObject =>
  Object.fromEntries(Object.entries(json).filter(([k]) => !keys.includes(k)));

describe("config.json", () => {
  it("llama", () => {
    expect(golden("llama-gqa")).toMatchInlineSnapshot(`
      {
        "activation": "silu",
        "architecture": "llama",
        "attentionBias": false,
        "attentionScale": 0.25,
        "attentionSoftcap": undefined,
        "bert": undefined,
        "bosTokenId": 1,
        "embeddingScale": 1,
        "eosTokenIds": [
          2,
        ],
        "finalSoftcap": undefined,
        "headDim": 16,
        "hiddenSize": 64,
        "intermediateSize": 176,
        "layerTypes": [
          "full",
          "full",
          "full",
        ],
        "localRope": undefined,
        "maxPositions": 256,
        "mlpBias": false,
        "moe": undefined,
        "naming": "hf",
        "normEps": 0.000001,
        "normOffset": 0,
        "numHeads": 4,
        "numKvHeads": 2,
        "numLayers": 3,
        "padTokenId": 0,
        "qkNorm": false,
        "rope": {
          "dim": 16,
          "interleaved": false,
          "scaling": {
            "type": "none",
          },
          "theta": 10000,
        },
        "slidingWindow": undefined,
        "tieWordEmbeddings": false,
        "vocabSize": 320,
      }
    `);
  });
  it("gemma 3: two ropes, pattern of layers, offsets and scales", () => {
    expect(golden("gemma3-text")).toMatchObject({
      architecture: "gemma3",
      normOffset: 1,
      embeddingScale: 8,
      attentionScale: 1 / Math.sqrt(32),
      activation: "gelu_tanh",
      slidingWindow: 12,
      layerTypes: ["sliding", "sliding", "sliding", "sliding", "sliding", "full", "sliding"],
      rope: { theta: 1_000_000 },
      localRope: { theta: 10_000 },
      qkNorm: true,
      tieWordEmbeddings: true,
    });
  });
  it("mistral is llama with a window on all layers", () => {
    expect(golden("mistral-swa")).toMatchObject({
      architecture: "llama",
      slidingWindow: 12,
      layerTypes: ["sliding", "sliding", "sliding"],
    });
    expect(read({ ...json("hf-models/mistral-swa/config.json"), sliding_window: null }).slidingWindow).toBeUndefined();
    expect(read(without(json("hf-models/mistral-swa/config.json"), "sliding_window")).slidingWindow).toBe(4096);
  });
  it("qwen 3 and its mixture of experts", () => {
    expect(golden("qwen3-qknorm")).toMatchObject({ architecture: "qwen3", qkNorm: true, headDim: 32, slidingWindow: undefined });
    expect(golden("qwen3-moe").moe).toEqual({
      numExperts: 6,
      numExpertsPerToken: 2,
      intermediateSize: 96,
      normalize: true,
      layers: [true, true, true],
    });
    const moe = read({ ...json("hf-models/qwen3-moe/config.json"), mlp_only_layers: [0], decoder_sparse_step: 2, num_hidden_layers: 4 });
    expect(moe.moe?.layers).toEqual([false, true, false, true]);
  });
  it("qwen 3 has windows only when told so, from a layer on", () => {
    const config = { ...without(json("hf-models/qwen3-qknorm/config.json"), "layer_types"), sliding_window: 8, max_window_layers: 2 };
    expect(read(config).layerTypes).toEqual(["full", "full", "full"]);
    expect(read({ ...config, use_sliding_window: true })).toMatchObject({ slidingWindow: 8, layerTypes: ["full", "full", "sliding"] });
  });
  it("BERT", () => {
    expect(golden("bert-encoder")).toMatchObject({
      architecture: "bert",
      activation: "gelu",
      normEps: 1e-12,
      rope: undefined,
      bert: { typeVocabSize: 2 },
      attentionBias: true,
      mlpBias: true,
    });
  });

  it("both dialects of rope settings mean the same", () => {
    const scaling = { rope_type: "llama3", factor: 32, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 64 };
    const older = read({ ...llama, rope_theta: 500_000, rope_scaling: scaling });
    const newer = read({ ...llama, rope_parameters: { rope_theta: 500_000, ...scaling } });
    expect(older.rope).toEqual(newer.rope);
    expect(older.rope).toEqual({
      theta: 500_000,
      dim: 16,
      interleaved: false,
      scaling: { type: "llama3", factor: 32, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositions: 64 },
    });
    expect(read({ ...llama, rope_theta: 7, rope_scaling: { type: "linear", factor: 2 } }).rope?.scaling).toEqual({
      type: "linear",
      factor: 2,
    });
    expect(read({ ...llama, rope_scaling: { rope_type: "dynamic", factor: 2 } }).rope?.scaling).toMatchObject({
      originalMaxPositions: 256,
    });
    expect(read({ ...llama, rope_parameters: { partial_rotary_factor: 0.5 } }).rope).toMatchObject({ theta: 10_000, dim: 8 });
  });
  it("gemma 3 in the older dialect: scaling is for full layers only", () => {
    const older = { ...without(gemma, "rope_parameters", "layer_types", "_sliding_window_pattern"), sliding_window_pattern: 3 };
    expect(read({ ...older, rope_theta: 1e6, rope_local_base_freq: 5000, rope_scaling: { rope_type: "linear", factor: 8 } })).toMatchObject(
      {
        layerTypes: ["sliding", "sliding", "full", "sliding", "sliding", "full", "sliding"],
        rope: { theta: 1e6, scaling: { type: "linear", factor: 8 } },
        localRope: { theta: 5000, scaling: { type: "none" } },
      },
    );
  });
  it("a multimodal config gives its text part", () => {
    const wrapped = { model_type: "gemma3", text_config: { ...gemma, model_type: "gemma3_text" } };
    expect(read(wrapped)).toEqual(read(gemma));
  });
  it("token ids come from generation_config.json first", () => {
    const c = readHfConfig(llama, { eos_token_id: [2, 5] });
    expect([c.bosTokenId, c.eosTokenIds, c.padTokenId]).toEqual([1, [2, 5], 0]);
  });

  it.each<[string, JsonObject]>([
    ["model_type", { ...llama, model_type: "mamba" }],
    ["model_type", {}],
    ["hidden_size", { ...llama, hidden_size: "64" }],
    ["hidden_size", { ...llama, hidden_size: 65, head_dim: null }],
    ["num_hidden_layers", { ...llama, num_hidden_layers: 1e9 }],
    ["num_key_value_heads", { ...llama, num_key_value_heads: 3 }],
    ["hidden_act", { ...llama, hidden_act: "relu6" }],
    ["rms_norm_eps", { ...llama, rms_norm_eps: -1 }],
    ["head_dim", { ...llama, head_dim: 15 }],
    ["rope_scaling.rope_type", { ...llama, rope_scaling: { rope_type: "longrope" } }],
    ["rope_scaling.factor", { ...llama, rope_scaling: { rope_type: "linear" } }],
    ["rope_scaling.factor", { ...llama, rope_scaling: { rope_type: "linear", factor: "2" } }],
    ["rope_parameters", { ...llama, rope_parameters: { full_attention: {}, sliding_attention: {} } }],
    ["layer_types", { ...gemma, layer_types: ["full_attention"] }],
    ["layer_types.0", { ...gemma, layer_types: ["chunked_attention"] }],
    ["use_bidirectional_attention", { ...gemma, use_bidirectional_attention: true }],
    ["position_embedding_type", { ...json("hf-models/bert-encoder/config.json"), position_embedding_type: "relative_key" }],
    ["num_experts_per_tok", { ...json("hf-models/qwen3-moe/config.json"), num_experts_per_tok: 7 }],
  ])("an error names %s", (field, config) => {
    const error = expectError(() => read(config));
    expect(error.field).toBe(field);
    expect(error.file).toBe("config.json");
  });
  it("error texts", () => {
    expect(expectError(() => read({ ...llama, hidden_act: "relu6" })).message).toMatchInlineSnapshot(
      `"config.json: hidden_act: expected one of silu, swish, gelu, gelu_pytorch_tanh, gelu_new, got "relu6""`,
    );
    expect(expectError(() => read({ ...llama, hidden_size: "64" })).message).toMatchInlineSnapshot(
      `"config.json: hidden_size: expected a value of type number, got "64""`,
    );
    expect(expectError(() => read({ ...llama, rope_scaling: { rope_type: "longrope" } })).message).toMatchInlineSnapshot(
      `"config.json: rope_scaling.rope_type: expected one of default, linear, dynamic, llama3, yarn, got "longrope""`,
    );
    expect(expectError(() => read({ ...llama, num_hidden_layers: 0 })).message).toMatchInlineSnapshot(
      `"config.json: num_hidden_layers: expected a number >= 1, got 0"`,
    );
    expect(expectError(() => read({ ...gemma, layer_types: ["chunked_attention"] })).message).toMatchInlineSnapshot(
      `"config.json: layer_types.0: expected one of full_attention, sliding_attention, got "chunked_attention""`,
    );
  });
});

function expectError(body: () => unknown): ModelConfigError {
  try {
    body();
  } catch (error) {
    if (error instanceof ModelConfigError) return error;
    throw error;
  }
  throw new Error("expected a ModelConfigError");
}
