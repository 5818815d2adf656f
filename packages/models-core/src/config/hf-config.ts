import { z } from "zod";
import { ModelConfigError, show } from "../errors.ts";
import { isObject, type JsonObject } from "../json.ts";
import { count, index, maxExperts, maxHeadDim, maxLayers, maxVocab, parseFields, positive } from "./fields.ts";
import { readHfRope } from "./hf-rope.ts";
import type { Activation, Architecture, LayerType, ModelConfig, MoeConfig } from "./model-config.ts";

/** What the classes of transformers assume when config.json is silent. */
interface Family {
  readonly architecture: Architecture;
  readonly maxPositions: number;
  readonly tieWordEmbeddings: boolean;
  readonly hiddenAct: string;
  readonly normEps: number;
  readonly vocabSize?: number;
  readonly numHeads?: number;
  readonly numKvHeads?: number;
  readonly headDim?: number;
  readonly slidingWindow?: number;
  readonly theta: number;
  readonly localTheta?: number;
}

const families = new Map<string, Family>([
  ["llama", { architecture: "llama", maxPositions: 2048, tieWordEmbeddings: false, hiddenAct: "silu", normEps: 1e-6, theta: 10_000 }],
  [
    "mistral",
    {
      architecture: "llama",
      maxPositions: 131_072,
      tieWordEmbeddings: false,
      hiddenAct: "silu",
      normEps: 1e-6,
      numKvHeads: 8,
      slidingWindow: 4096,
      theta: 10_000,
    },
  ],
  [
    "qwen3",
    {
      architecture: "qwen3",
      maxPositions: 32_768,
      tieWordEmbeddings: false,
      hiddenAct: "silu",
      normEps: 1e-6,
      numKvHeads: 32,
      headDim: 128,
      theta: 10_000,
    },
  ],
  [
    "qwen3_moe",
    {
      architecture: "qwen3moe",
      maxPositions: 32_768,
      tieWordEmbeddings: false,
      hiddenAct: "silu",
      normEps: 1e-6,
      numKvHeads: 4,
      theta: 10_000,
    },
  ],
  [
    "gemma3_text",
    {
      architecture: "gemma3",
      maxPositions: 131_072,
      tieWordEmbeddings: true,
      hiddenAct: "gelu_pytorch_tanh",
      normEps: 1e-6,
      vocabSize: 262_208,
      numHeads: 8,
      numKvHeads: 4,
      headDim: 256,
      slidingWindow: 4096,
      theta: 1_000_000,
      localTheta: 10_000,
    },
  ],
  ["bert", { architecture: "bert", maxPositions: 512, tieWordEmbeddings: true, hiddenAct: "gelu", normEps: 1e-12, theta: 10_000 }],
]);

const activations = new Map<string, Activation>([
  ["silu", "silu"],
  ["swish", "silu"],
  ["gelu", "gelu"],
  ["gelu_pytorch_tanh", "gelu_tanh"],
  ["gelu_new", "gelu_tanh"],
]);

const tokenIds = z.union([index, z.array(index)]).nullish();
const schema = z.object({
  vocab_size: count.max(maxVocab).nullish(),
  hidden_size: count,
  intermediate_size: count,
  num_hidden_layers: count.max(maxLayers),
  num_attention_heads: count.nullish(),
  num_key_value_heads: count.nullish(),
  head_dim: count.nullish(),
  max_position_embeddings: count.nullish(),
  rms_norm_eps: positive.nullish(),
  layer_norm_eps: positive.nullish(),
  hidden_act: z.string().nullish(),
  hidden_activation: z.string().nullish(),
  attention_bias: z.boolean().nullish(),
  mlp_bias: z.boolean().nullish(),
  tie_word_embeddings: z.boolean().nullish(),
  layer_types: z.array(z.enum(["full_attention", "sliding_attention"])).nullish(),
  sliding_window: count.nullish(),
  use_sliding_window: z.boolean().nullish(),
  max_window_layers: index.nullish(),
  sliding_window_pattern: count.nullish(),
  _sliding_window_pattern: count.nullish(),
  query_pre_attn_scalar: positive.nullish(),
  attn_logit_softcapping: positive.nullish(),
  final_logit_softcapping: positive.nullish(),
  use_bidirectional_attention: z.boolean().nullish(),
  num_experts: index.max(maxExperts).nullish(),
  num_local_experts: index.max(maxExperts).nullish(),
  num_experts_per_tok: count.nullish(),
  moe_intermediate_size: count.nullish(),
  norm_topk_prob: z.boolean().nullish(),
  decoder_sparse_step: count.nullish(),
  mlp_only_layers: z.array(index).nullish(),
  type_vocab_size: count.nullish(),
  position_embedding_type: z.string().nullish(),
  bos_token_id: tokenIds,
  eos_token_id: tokenIds,
  pad_token_id: tokenIds,
});
type Fields = z.output<typeof schema>;

/**
 * Read a Hugging Face `config.json` (either dialect of rope settings; a multimodal one gives its text part) and, when there is one,
 * `generation_config.json`, whose token ids win. Throws ModelConfigError for what is malformed or not supported.
 */
export function readHfConfig(json: JsonObject, generation?: JsonObject, file = "config.json"): ModelConfig {
  const nested = json.text_config;
  const config: JsonObject = isObject(nested) ? { ...json, ...nested, model_type: nested.model_type ?? `${json.model_type}_text` } : json;
  const family = typeof config.model_type === "string" ? families.get(config.model_type) : undefined;
  if (!family) throw new ModelConfigError(file, "model_type", `one of ${[...families.keys()].join(", ")}`, show(config.model_type));
  const c = parseFields(file, schema, config);
  refuseUnsupported(file, c);

  const { architecture } = family;
  const numHeads = need(file, "num_attention_heads", c.num_attention_heads ?? family.numHeads);
  const numKvHeads = architecture === "bert" ? numHeads : (c.num_key_value_heads ?? family.numKvHeads ?? numHeads);
  if (numHeads % numKvHeads !== 0)
    throw new ModelConfigError(file, "num_key_value_heads", `a divisor of the ${numHeads} heads`, show(numKvHeads));
  const headDim = c.head_dim ?? family.headDim ?? c.hidden_size / numHeads;
  if (!Number.isInteger(headDim))
    throw new ModelConfigError(file, "hidden_size", `a multiple of the ${numHeads} heads where head_dim is not given`, show(c.hidden_size));
  if (headDim > maxHeadDim) throw new ModelConfigError(file, "head_dim", `at most ${maxHeadDim}`, `${headDim}`);
  const maxPositions = c.max_position_embeddings ?? family.maxPositions;
  const gemma = architecture === "gemma3";
  const layers = readLayers(file, family, c, config);
  const rope =
    architecture === "bert"
      ? undefined
      : readHfRope(file, config, {
          theta: family.theta,
          headDim,
          maxPositions,
          ...(family.localTheta === undefined ? {} : { localTheta: family.localTheta }),
        });
  const tokens = generation
    ? parseFields(
        "generation_config.json",
        z.object({ bos_token_id: tokenIds, eos_token_id: tokenIds, pad_token_id: tokenIds }),
        generation,
      )
    : {};
  return {
    architecture,
    naming: "hf",
    vocabSize: need(file, "vocab_size", c.vocab_size ?? family.vocabSize),
    hiddenSize: c.hidden_size,
    intermediateSize: c.intermediate_size,
    numLayers: c.num_hidden_layers,
    numHeads,
    numKvHeads,
    headDim,
    maxPositions,
    normEps: (architecture === "bert" ? c.layer_norm_eps : c.rms_norm_eps) ?? family.normEps,
    normOffset: gemma ? 1 : 0,
    activation: activation(
      file,
      gemma ? "hidden_activation" : "hidden_act",
      (gemma ? c.hidden_activation : c.hidden_act) ?? family.hiddenAct,
    ),
    embeddingScale: gemma ? Math.sqrt(c.hidden_size) : 1,
    attentionScale: 1 / Math.sqrt(gemma ? (c.query_pre_attn_scalar ?? 256) : headDim),
    ...layers,
    rope: rope?.rope,
    localRope: rope?.localRope,
    qkNorm: gemma || architecture === "qwen3" || architecture === "qwen3moe",
    attentionBias: architecture === "bert" || (c.attention_bias ?? false),
    mlpBias: architecture === "bert" || (c.mlp_bias ?? false),
    tieWordEmbeddings: c.tie_word_embeddings ?? family.tieWordEmbeddings,
    attentionSoftcap: c.attn_logit_softcapping ?? undefined,
    finalSoftcap: c.final_logit_softcapping ?? undefined,
    moe: architecture === "qwen3moe" ? readMoe(file, c) : undefined,
    bert: architecture === "bert" ? { typeVocabSize: c.type_vocab_size ?? 2 } : undefined,
    bosTokenId: [tokens.bos_token_id ?? c.bos_token_id ?? []].flat()[0],
    eosTokenIds: [tokens.eos_token_id ?? c.eos_token_id ?? []].flat(),
    padTokenId: [tokens.pad_token_id ?? c.pad_token_id ?? []].flat()[0],
  };
}

function need<T>(file: string, field: string, value: T | undefined): T {
  if (value === undefined) throw new ModelConfigError(file, field, "a value", "nothing");
  return value;
}

function refuseUnsupported(file: string, c: Fields): void {
  if (c.use_bidirectional_attention) throw new ModelConfigError(file, "use_bidirectional_attention", "false", "true");
  const position = c.position_embedding_type ?? "absolute";
  if (position !== "absolute") throw new ModelConfigError(file, "position_embedding_type", "absolute", show(position));
}

function activation(file: string, field: string, name: string): Activation {
  const a = activations.get(name);
  if (!a) throw new ModelConfigError(file, field, `one of ${[...activations.keys()].join(", ")}`, show(name));
  return a;
}

function readLayers(file: string, family: Family, c: Fields, config: JsonObject): Pick<ModelConfig, "layerTypes" | "slidingWindow"> {
  const n = c.num_hidden_layers;
  // Families with a window keep it unless the config says null.
  const window = config.sliding_window === undefined ? family.slidingWindow : (c.sliding_window ?? undefined);
  const usable = family.architecture.startsWith("qwen3") && !c.use_sliding_window ? undefined : window;
  const layerTypes =
    c.layer_types?.map((t): LayerType => (t === "sliding_attention" ? "sliding" : "full")) ?? defaultLayers(family, c, usable);
  if (layerTypes.length !== n) throw new ModelConfigError(file, "layer_types", `${n} entries, one per layer`, `${layerTypes.length}`);
  if (!layerTypes.includes("sliding")) return { layerTypes, slidingWindow: undefined };
  return { layerTypes, slidingWindow: need(file, "sliding_window", window) };
}

function defaultLayers(family: Family, c: Fields, window: number | undefined): LayerType[] {
  const layers = Array.from({ length: c.num_hidden_layers }, (_, i) => i);
  if (window === undefined || family.architecture === "bert") return layers.map(() => "full");
  switch (family.architecture) {
    case "gemma3": {
      const period = c.sliding_window_pattern ?? c._sliding_window_pattern ?? 6;
      return layers.map((i) => ((i + 1) % period === 0 ? "full" : "sliding"));
    }
    case "qwen3":
      return layers.map((i) => (i >= (c.max_window_layers ?? 28) ? "sliding" : "full"));
    case "qwen3moe":
      return layers.map(() => "sliding");
    case "llama": // only Mistral's configs have a window
      return layers.map(() => (family.slidingWindow === undefined ? "full" : "sliding"));
  }
}

function readMoe(file: string, c: Fields): MoeConfig {
  const numExperts = c.num_local_experts ?? c.num_experts ?? 128;
  const numExpertsPerToken = c.num_experts_per_tok ?? 8;
  if (numExpertsPerToken > numExperts)
    throw new ModelConfigError(file, "num_experts_per_tok", `at most the ${numExperts} experts`, show(numExpertsPerToken));
  const dense = new Set(c.mlp_only_layers ?? []);
  const step = c.decoder_sparse_step ?? 1;
  return {
    numExperts,
    numExpertsPerToken,
    intermediateSize: c.moe_intermediate_size ?? 768,
    normalize: c.norm_topk_prob ?? false,
    layers: Array.from({ length: c.num_hidden_layers }, (_, i) => !dense.has(i) && numExperts > 0 && (i + 1) % step === 0),
  };
}
