import type { RopeConfig } from "./model-config.ts";

export interface RopeFrequencies {
  /** Angle per position of each rotated pair, [dim / 2]. */
  readonly invFreq: Float32Array<ArrayBuffer>;
  /** Factor on cos and sin. */
  readonly attentionFactor: number;
}

type Scaling<T extends RopeConfig["scaling"]["type"]> = Extract<RopeConfig["scaling"], { type: T }>;

/**
 * The frequencies of a rope, as Hugging Face transformers defines them (modeling_rope_utils). `length` is the longest sequence;
 * only `dynamic` scaling depends on it.
 */
export function ropeFrequencies(rope: RopeConfig, length = 0): RopeFrequencies {
  const { dim, theta, scaling } = rope;
  const base = frequencies(theta, dim);
  const plain = (f: readonly number[]): RopeFrequencies => ({ invFreq: Float32Array.from(f), attentionFactor: 1 });
  switch (scaling.type) {
    case "none":
      return plain(base);
    case "linear":
      return plain(base.map((f) => f / scaling.factor));
    case "divisors":
      return plain(base.map((f, i) => f / (scaling.divisors[i] ?? 1)));
    case "dynamic":
      return plain(frequencies(dynamicTheta(theta, dim, scaling, length), dim));
    case "llama3":
      return plain(base.map((f) => llama3(f, scaling)));
    case "yarn":
      return { invFreq: Float32Array.from(yarn(base, theta, dim, scaling)), attentionFactor: yarnAttentionFactor(scaling) };
  }
}

/** theta^(-2i / dim): RoFormer, https://arxiv.org/abs/2104.09864 */
const frequencies = (theta: number, dim: number): number[] => Array.from({ length: dim / 2 }, (_, i) => theta ** ((-2 * i) / dim));

/** NTK-aware scaling by length (bloc97, emozilla): theta is stretched so that the slowest pair still turns as slowly as trained. */
function dynamicTheta(theta: number, dim: number, s: Scaling<"dynamic">, length: number): number {
  const n = Math.max(length, s.originalMaxPositions);
  return theta * ((s.factor * n) / s.originalMaxPositions - (s.factor - 1)) ** (dim / (dim - 2));
}

/** Llama 3.1: slow pairs are divided by `factor`, fast ones kept, those between blended. */
function llama3(f: number, s: Scaling<"llama3">): number {
  const turns = (s.originalMaxPositions * f) / (2 * Math.PI); // over the original context
  if (turns < s.lowFreqFactor) return f / s.factor;
  if (turns > s.highFreqFactor) return f;
  const keep = (turns - s.lowFreqFactor) / (s.highFreqFactor - s.lowFreqFactor);
  return (1 - keep) * (f / s.factor) + keep * f;
}

/** YaRN, https://arxiv.org/abs/2309.00071: a linear ramp over the pairs' index from kept to divided by `factor`. */
function yarn(base: readonly number[], theta: number, dim: number, s: Scaling<"yarn">): number[] {
  /** The pair index, as a real number, that turns `turns` times over the original context. */
  const index = (turns: number): number => (dim * Math.log(s.originalMaxPositions / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const from = index(s.betaFast);
  const to = index(s.betaSlow);
  const low = Math.max(s.truncate ? Math.floor(from) : from, 0);
  let high = Math.min(s.truncate ? Math.ceil(to) : to, dim - 1);
  if (high === low) high += 0.001; // as transformers does, against the division by zero
  return base.map((f, i) => {
    const divided = Math.min(1, Math.max(0, (i - low) / (high - low)));
    return divided * (f / s.factor) + (1 - divided) * f;
  });
}

function yarnAttentionFactor(s: Scaling<"yarn">): number {
  const mscale = (m: number): number => (s.factor <= 1 ? 1 : 0.1 * m * Math.log(s.factor) + 1);
  if (s.attentionFactor !== undefined) return s.attentionFactor;
  return s.mscale && s.mscaleAllDim ? mscale(s.mscale) / mscale(s.mscaleAllDim) : mscale(1);
}
