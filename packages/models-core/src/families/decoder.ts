import { type Dim, type HirBuilder, hirBuilder, type HirModule, type HirValue, type KvFormat, Tensor } from "@rlxjs/ir";
import type { ModelConfig, RopeConfig } from "../config/model-config.ts";
import { ropeFrequencies } from "../config/rope-frequencies.ts";

/** Whether the checkpoint has a weight of this (Hugging Face) name. */
export type HasWeight = (name: string) => boolean;

/** What to build of a decoder: one module per use, all over the same weights. */
export interface DecoderPlan {
  /** Name of the module. */
  readonly name: string;
  readonly batch: Dim;
  /** Tokens per run. */
  readonly seq: Dim;
  /** Positions that the KV cache holds. */
  readonly capacity: Dim;
  /** How the cache keeps keys and values. */
  readonly kvFormats: { readonly k: KvFormat; readonly v: KvFormat };
  /** `last`: logits [B, 1, V] and the greedy id `next` [B, 1]; `all`: logits [B, S, V]; `hidden`: the final norm's rows [B, S, D]. */
  readonly output: "last" | "all" | "hidden";
}

/** Names of layer `i`'s cache states, as model packages know them. */
export const cacheNames = (i: number): { readonly pastK: string; readonly pastV: string } => ({
  pastK: `past_k_${i}`,
  pastV: `past_v_${i}`,
});

/** The axis of every cache state that counts tokens. */
export const cacheTokenAxis = 2;

type Tables = { readonly cos: HirValue; readonly sin: HirValue } | undefined;

/** What one layer needs to know. */
export interface LayerContext {
  readonly config: ModelConfig;
  readonly plan: DecoderPlan;
  readonly index: number;
  readonly pos: HirValue;
  readonly tables: Tables;
  readonly interleaved: boolean;
  readonly has: HasWeight;
  /** Full name of a weight of this layer. */
  readonly weight: (name: string) => string;
}

/**
 * A decoder-only language model. Inputs: `input_ids` i32 [B, S] and `pos` i32 [], the position of the first id; the tokens before it
 * are in the cache states. The family gives the layer; everything else is data of the config.
 */
export function buildDecoder(
  config: ModelConfig,
  has: HasWeight,
  plan: DecoderPlan,
  layer: (h: HirBuilder, x: HirValue, context: LayerContext) => HirValue,
): HirModule {
  const h = hirBuilder(plan.name);
  const ids = h.input("input_ids", "i32", [plan.batch, plan.seq]);
  const pos = h.input("pos", "i32", []);
  const tables = (rope: RopeConfig | undefined): Tables => {
    if (!rope) return undefined;
    const { invFreq, attentionFactor } = ropeFrequencies(rope);
    return h.ropeTables(ids, h.constant(new Tensor("f32", [invFreq.length], invFreq)), { pos, scale: attentionFactor });
  };
  const full = h.scope("rope", () => tables(config.rope));
  const sliding = config.localRope ? h.scope("rope.local", () => tables(config.localRope)) : full;
  const embed = "model.embed_tokens.weight";
  let x = h.embedding(ids, { weight: embed, scale: config.embeddingScale });
  config.layerTypes.forEach((type, index) => {
    const local = type === "sliding" && config.localRope !== undefined;
    x = h.scope(`layers.${index}`, () =>
      layer(h, x, {
        config,
        plan,
        index,
        pos,
        has,
        tables: local ? sliding : full,
        interleaved: (local ? config.localRope : config.rope)?.interleaved ?? false,
        weight: (name) => `model.layers.${index}.${name}`,
      }),
    );
  });
  x = norm(h, x, "model.norm.weight", config);
  if (plan.output === "hidden") return h.output("hidden", x).build();
  const head = config.tieWordEmbeddings || !has("lm_head.weight") ? embed : "lm_head.weight";
  const logits = h.lmHead(x, { weight: head, softcap: config.finalSoftcap, last: plan.output === "last" ? 1 : undefined });
  h.output("logits", logits);
  if (plan.output === "last") h.output("next", h.ops.argmax(logits, { axis: -1 }));
  return h.build();
}

export const norm = (h: HirBuilder, x: HirValue, weight: string, { normEps, normOffset }: ModelConfig): HirValue =>
  h.rmsNorm(x, { weight, eps: normEps, offset: normOffset });

/** Self-attention with the layer's slice of the cache. */
export function selfAttention(
  h: HirBuilder,
  x: HirValue,
  { config, plan, index, pos, tables, interleaved, has, weight }: LayerContext,
): HirValue {
  const own = (name: string): string | undefined => (has(weight(name)) ? weight(name) : undefined);
  return h.attention(x, {
    pos,
    cos: tables?.cos,
    sin: tables?.sin,
    q: weight("self_attn.q_proj.weight"),
    k: weight("self_attn.k_proj.weight"),
    v: weight("self_attn.v_proj.weight"),
    o: weight("self_attn.o_proj.weight"),
    qBias: own("self_attn.q_proj.bias"),
    kBias: own("self_attn.k_proj.bias"),
    vBias: own("self_attn.v_proj.bias"),
    oBias: own("self_attn.o_proj.bias"),
    qNorm: config.qkNorm ? weight("self_attn.q_norm.weight") : undefined,
    kNorm: config.qkNorm ? weight("self_attn.k_norm.weight") : undefined,
    normEps: config.normEps,
    normOffset: config.normOffset,
    numHeads: config.numHeads,
    numKvHeads: config.numKvHeads,
    headDim: config.headDim,
    scale: config.attentionScale,
    softcap: config.attentionSoftcap,
    window: config.layerTypes[index] === "sliding" ? config.slidingWindow : undefined,
    ropeInterleaved: interleaved,
    ...cacheNames(index),
    capacity: plan.capacity,
    kFormat: plan.kvFormats.k,
    vFormat: plan.kvFormats.v,
    layout: "head",
  });
}

/** The gated feed-forward layer, dense or mixture of experts. */
export function feedForward(h: HirBuilder, x: HirValue, { config, index, has, weight }: LayerContext): HirValue {
  const { moe, activation } = config;
  if (moe?.layers[index]) {
    const experts = (proj: string): string | string[] => {
      const stacked = weight(`mlp.experts.${proj}.weight`);
      return has(stacked) ? stacked : Array.from({ length: moe.numExperts }, (_, e) => weight(`mlp.experts.${e}.${proj}.weight`));
    };
    return h.moe(x, {
      router: weight("mlp.gate.weight"),
      gate: experts("gate_proj"),
      up: experts("up_proj"),
      down: experts("down_proj"),
      topK: moe.numExpertsPerToken,
      normalize: moe.normalize,
      activation,
    });
  }
  const bias = (proj: string): string | undefined => (has(weight(`mlp.${proj}.bias`)) ? weight(`mlp.${proj}.bias`) : undefined);
  const weights = {
    gate: weight("mlp.gate_proj.weight"),
    up: weight("mlp.up_proj.weight"),
    down: weight("mlp.down_proj.weight"),
    gateBias: bias("gate_proj"),
    upBias: bias("up_proj"),
    downBias: bias("down_proj"),
  };
  return activation === "silu" ? h.swiglu(x, weights) : h.geglu(x, { ...weights, activation });
}
