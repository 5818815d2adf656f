/** Model settings as plain data: what config.json (either dialect) and GGUF metadata both come down to. */
export interface ModelConfig {
  /** The family that runs it. Mistral is `llama` with a sliding window. */
  readonly architecture: Architecture;
  /** How the checkpoint names its tensors. */
  readonly naming: "hf" | "gguf";
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numLayers: number;
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  readonly maxPositions: number;
  readonly normEps: number;
  /** Added to the weights of all RMS norms: 1 for Gemma checkpoints of Hugging Face, else 0. */
  readonly normOffset: 0 | 1;
  readonly activation: Activation;
  /** Factor on token embeddings; Gemma: sqrt(hiddenSize). */
  readonly embeddingScale: number;
  /** Factor on query-key products. */
  readonly attentionScale: number;
  /** One per layer. */
  readonly layerTypes: readonly LayerType[];
  /** Keys that a query of a sliding layer sees, itself included. Set when any layer is sliding. */
  readonly slidingWindow: number | undefined;
  /** Undefined: learned absolute positions (BERT). */
  readonly rope: RopeConfig | undefined;
  /** Rope of sliding layers, where it differs from `rope`. */
  readonly localRope: RopeConfig | undefined;
  /** RMS norms over each head of q and k. */
  readonly qkNorm: boolean;
  /** Biases on q, k, v and o. */
  readonly attentionBias: boolean;
  readonly mlpBias: boolean;
  /** The output projection is the token embedding. */
  readonly tieWordEmbeddings: boolean;
  /** c of c tanh(s / c) on attention scores and on the logits. */
  readonly attentionSoftcap: number | undefined;
  readonly finalSoftcap: number | undefined;
  readonly moe: MoeConfig | undefined;
  readonly bert: BertConfig | undefined;
  readonly bosTokenId: number | undefined;
  /** Any of these ends a generation. */
  readonly eosTokenIds: readonly number[];
  readonly padTokenId: number | undefined;
}

export const architectures = ["llama", "qwen3", "gemma3", "qwen3moe", "bert"] as const;
export type Architecture = (typeof architectures)[number];
/** `gelu` is the exact form, `gelu_tanh` its tanh approximation. */
export type Activation = "silu" | "gelu" | "gelu_tanh";
export type LayerType = "full" | "sliding";

export interface RopeConfig {
  readonly theta: number;
  /** Rotated channels of each head. */
  readonly dim: number;
  /** Pairs are (2i, 2i+1), as in llama GGUF files, instead of (i, i + dim/2). */
  readonly interleaved: boolean;
  readonly scaling: RopeScaling;
}

export type RopeScaling =
  | { readonly type: "none" }
  /** All frequencies divided by `factor`. */
  | { readonly type: "linear"; readonly factor: number }
  /** NTK: theta grows with the length once that is beyond `originalMaxPositions`. */
  | { readonly type: "dynamic"; readonly factor: number; readonly originalMaxPositions: number }
  | {
      readonly type: "llama3";
      readonly factor: number;
      readonly lowFreqFactor: number;
      readonly highFreqFactor: number;
      readonly originalMaxPositions: number;
    }
  | {
      readonly type: "yarn";
      readonly factor: number;
      readonly originalMaxPositions: number;
      readonly betaFast: number;
      readonly betaSlow: number;
      /** Round the ends of the ramp to whole channels. */
      readonly truncate: boolean;
      /** Factor on cos and sin; undefined: from `mscale`, `mscaleAllDim` and `factor`. */
      readonly attentionFactor: number | undefined;
      readonly mscale: number | undefined;
      readonly mscaleAllDim: number | undefined;
    }
  /** One divisor per frequency (GGUF's rope_freqs.weight). */
  | { readonly type: "divisors"; readonly divisors: readonly number[] };

export interface MoeConfig {
  readonly numExperts: number;
  readonly numExpertsPerToken: number;
  readonly intermediateSize: number;
  /** Scale the chosen experts' weights to sum to one. */
  readonly normalize: boolean;
  /** Whether each layer has experts; the others have one dense MLP. */
  readonly layers: readonly boolean[];
}

export interface BertConfig {
  readonly typeVocabSize: number;
}
