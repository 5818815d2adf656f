import { ModelConfigError, show } from "../errors.ts";
import type { GgufCheckpoint } from "../gguf/reader.ts";
import { maxExperts, maxHeadDim, maxLayers, maxVocab } from "./fields.ts";
import {
  type Activation,
  type Architecture,
  architectures,
  type LayerType,
  type ModelConfig,
  type RopeConfig,
  type RopeScaling,
} from "./model-config.ts";

/** Gemma 3's pattern where the file does not say: every sixth layer sees everything. */
const gemma3Period = 6;
/** Gemma 3's rope of sliding layers where the file does not say. */
const gemma3LocalTheta = 10_000;

/**
 * Read the settings of a GGUF model. Throws ModelConfigError for what is missing, malformed or not supported.
 * Differences from the same model in Hugging Face form that the file format brings: llama rope is interleaved (its q and k rows are
 * permuted to match), and Gemma's norm weights have their offset added already.
 */
export async function readGgufConfig(checkpoint: GgufCheckpoint): Promise<ModelConfig> {
  const { metadata: m, file } = checkpoint;
  const name = m.string("general.architecture");
  const architecture = architectures.find((a) => a === name);
  if (!architecture) throw new ModelConfigError(file, "general.architecture", `one of ${architectures.join(", ")}`, show(name));
  const key = (k: string): string => `${architecture}.${k}`;
  const fields = new Fields(checkpoint, architecture);
  const { numLayers, hiddenSize, numHeads } = {
    numLayers: fields.count("block_count", { max: maxLayers }),
    hiddenSize: fields.count("embedding_length"),
    numHeads: fields.count("attention.head_count"),
  };
  const numKvHeads = fields.count("attention.head_count_kv", { otherwise: numHeads });
  if (numHeads % numKvHeads !== 0)
    throw new ModelConfigError(file, key("attention.head_count_kv"), `a divisor of the ${numHeads} heads`, `${numKvHeads}`);
  const headDim = fields.count("attention.key_length", { otherwise: hiddenSize / numHeads, max: maxHeadDim });
  const valueLength = fields.count("attention.value_length", { otherwise: headDim });
  if (valueLength !== headDim)
    throw new ModelConfigError(file, key("attention.value_length"), `${headDim}, as the key length`, `${valueLength}`);
  const bert = architecture === "bert";
  const gemma = architecture === "gemma3";
  const layers = readLayers(fields, architecture, numLayers);
  const rope = bert ? undefined : await readRope(checkpoint, fields, architecture, headDim);
  const eos = m.number("tokenizer.ggml.eos_token_id");
  const eot = m.number("tokenizer.ggml.eot_token_id");
  return {
    architecture,
    naming: "gguf",
    vocabSize: fields.count("vocab_size", { otherwise: checkpoint.info("token_embd.weight").shape[0] ?? 0, max: maxVocab }),
    hiddenSize,
    intermediateSize: fields.count("feed_forward_length"),
    numLayers,
    numHeads,
    numKvHeads,
    headDim,
    maxPositions: fields.count("context_length"),
    normEps: fields.positive(bert ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon"),
    normOffset: 0,
    activation: activationOf[architecture],
    embeddingScale: gemma ? Math.sqrt(hiddenSize) : 1,
    attentionScale: fields.positive(
      "attention.scale",
      gemma ? gemma3Scale(numLayers, hiddenSize, numHeads, headDim) : 1 / Math.sqrt(headDim),
    ),
    ...layers,
    rope,
    // Sliding layers of Gemma 3 are never scaled.
    localRope:
      rope && gemma ? { ...rope, theta: fields.positive("rope.freq_base_swa", gemma3LocalTheta), scaling: { type: "none" } } : undefined,
    qkNorm: checkpoint.has("blk.0.attn_q_norm.weight"),
    attentionBias: checkpoint.has("blk.0.attn_q.bias"),
    mlpBias: checkpoint.has("blk.0.ffn_up.bias"),
    tieWordEmbeddings: !checkpoint.has("output.weight"),
    attentionSoftcap: m.number(key("attn_logit_softcapping")),
    finalSoftcap: m.number(key("final_logit_softcapping")),
    moe: architecture === "qwen3moe" ? readMoe(fields, checkpoint, numLayers) : undefined,
    bert: bert ? { typeVocabSize: fields.count("token_type_count", { key: "tokenizer.ggml.token_type_count", otherwise: 2 }) } : undefined,
    bosTokenId: m.number("tokenizer.ggml.bos_token_id"),
    eosTokenIds: readEos(checkpoint) ?? [...new Set([eos, eot].filter((id) => id !== undefined))],
    padTokenId: m.number("tokenizer.ggml.padding_token_id"),
  };
}

const activationOf: Readonly<Record<Architecture, Activation>> = {
  llama: "silu",
  qwen3: "silu",
  qwen3moe: "silu",
  gemma3: "gelu_tanh",
  bert: "gelu",
};

/** As llama.cpp tells them apart: of the Gemma 3 models only the 27B one (62 layers) scales by its width. */
const gemma3Scale = (numLayers: number, hiddenSize: number, numHeads: number, headDim: number): number =>
  1 / Math.sqrt(numLayers === 62 ? hiddenSize / numHeads : headDim);

/** All ids that end a generation, where the file says more than one. */
function readEos({ metadata }: GgufCheckpoint): number[] | undefined {
  const ids = metadata.numbers("tokenizer.rlxjs.eos_token_ids");
  return ids && [...ids];
}

/** Settings of the architecture, `llama.block_count` and so on. */
class Fields {
  readonly #checkpoint: GgufCheckpoint;
  readonly #architecture: string;
  constructor(checkpoint: GgufCheckpoint, architecture: string) {
    this.#checkpoint = checkpoint;
    this.#architecture = architecture;
  }

  count(field: string, options: { readonly otherwise?: number; readonly max?: number; readonly key?: string } = {}): number {
    const { max = 2 ** 31 } = options;
    const v = this.number(field, options.otherwise, options.key);
    if (!Number.isInteger(v) || v < 1 || v > max) throw this.fail(field, `an integer from 1 to ${max}`, `${v}`);
    return v;
  }
  positive(field: string, otherwise?: number): number {
    const v = this.number(field, otherwise);
    if (!(v > 0 && Number.isFinite(v))) throw this.fail(field, "a number > 0", `${v}`);
    return v;
  }
  number(field: string, otherwise?: number, key = `${this.#architecture}.${field}`): number {
    const v = this.#checkpoint.metadata.number(key) ?? otherwise;
    if (v === undefined) throw this.fail(field, "a number", "nothing");
    return v;
  }
  has(field: string): boolean {
    return this.#checkpoint.metadata.values.has(`${this.#architecture}.${field}`);
  }
  string(field: string): string | undefined {
    return this.#checkpoint.metadata.string(`${this.#architecture}.${field}`);
  }
  boolean(field: string): boolean | undefined {
    return this.#checkpoint.metadata.boolean(`${this.#architecture}.${field}`);
  }
  booleans(field: string): readonly boolean[] | undefined {
    return this.#checkpoint.metadata.booleans(`${this.#architecture}.${field}`);
  }
  isArray(field: string): boolean {
    return this.#checkpoint.metadata.values.get(`${this.#architecture}.${field}`)?.type === "array";
  }
  fail(field: string, expected: string, given: string): ModelConfigError {
    return new ModelConfigError(this.#checkpoint.file, `${this.#architecture}.${field}`, expected, given);
  }
}

function readLayers(fields: Fields, architecture: Architecture, numLayers: number): Pick<ModelConfig, "layerTypes" | "slidingWindow"> {
  const window = fields.number("attention.sliding_window", 0);
  const all = (type: LayerType): LayerType[] => Array.from({ length: numLayers }, () => type);
  if (window === 0) return { layerTypes: all("full"), slidingWindow: undefined };
  const slidingWindow = fields.count("attention.sliding_window");
  const field = "attention.sliding_window_pattern";
  if (fields.isArray(field)) {
    const pattern = fields.booleans(field) ?? [];
    if (pattern.length !== numLayers) throw fields.fail(field, `${numLayers} entries, one per layer`, `${pattern.length}`);
    return { layerTypes: pattern.map((sliding): LayerType => (sliding ? "sliding" : "full")), slidingWindow };
  }
  // A period of 1: all layers are full; otherwise the last of each period is.
  const period = fields.count(field, { otherwise: architecture === "gemma3" ? gemma3Period : numLayers + 1 });
  return { layerTypes: all("full").map((_, i): LayerType => ((i + 1) % period === 0 ? "full" : "sliding")), slidingWindow };
}

async function readRope(checkpoint: GgufCheckpoint, fields: Fields, architecture: Architecture, headDim: number): Promise<RopeConfig> {
  const dim = fields.count("rope.dimension_count", { otherwise: headDim, max: headDim });
  if (dim % 2 !== 0) throw fields.fail("rope.dimension_count", "an even number", `${dim}`);
  return {
    theta: fields.positive("rope.freq_base", 10_000),
    dim,
    interleaved: architecture === "llama",
    scaling: await readScaling(checkpoint, fields, dim),
  };
}

async function readScaling(checkpoint: GgufCheckpoint, fields: Fields, dim: number): Promise<RopeScaling> {
  const type = fields.string("rope.scaling.type") ?? (fields.has("rope.scale_linear") ? "linear" : "none");
  const divisors = checkpoint.has("rope_freqs.weight") ? (await checkpoint.tensor("rope_freqs.weight")).toArray() : undefined;
  if (divisors && (divisors.length !== dim / 2 || divisors.some((d) => !(d > 0 && Number.isFinite(d)))))
    throw fields.fail("rope_freqs.weight", `${dim / 2} numbers > 0`, show(divisors));
  const factor = fields.positive("rope.scaling.factor", fields.number("rope.scale_linear", 1));
  switch (type) {
    case "none":
      return divisors ? { type: "divisors", divisors } : { type: "none" };
    case "linear":
      if (divisors) return { type: "divisors", divisors: divisors.map((d) => d * factor) };
      return factor === 1 ? { type: "none" } : { type: "linear", factor };
    case "yarn":
      if (divisors) throw fields.fail("rope.scaling.type", "none or linear beside rope_freqs.weight", type);
      return {
        type: "yarn",
        factor,
        originalMaxPositions: fields.count("rope.scaling.original_context_length", { otherwise: fields.count("context_length") }),
        betaFast: fields.positive("rope.scaling.yarn_beta_fast", 32),
        betaSlow: fields.positive("rope.scaling.yarn_beta_slow", 1),
        truncate: true,
        // The file has a factor on top of YaRN's own.
        attentionFactor: fields.has("rope.scaling.attn_factor")
          ? fields.positive("rope.scaling.attn_factor") * (factor <= 1 ? 1 : 0.1 * Math.log(factor) + 1)
          : undefined,
        mscale: undefined,
        mscaleAllDim: undefined,
      };
    default:
      throw fields.fail("rope.scaling.type", "one of none, linear, yarn", show(type));
  }
}

function readMoe(fields: Fields, checkpoint: GgufCheckpoint, numLayers: number): ModelConfig["moe"] {
  const numExperts = fields.count("expert_count", { max: maxExperts });
  return {
    numExperts,
    numExpertsPerToken: fields.count("expert_used_count", { max: numExperts }),
    intermediateSize: fields.count("expert_feed_forward_length"),
    normalize: fields.boolean("expert_weights_norm") ?? true,
    layers: Array.from({ length: numLayers }, (_, i) => checkpoint.has(`blk.${i}.ffn_gate_inp.weight`)),
  };
}
