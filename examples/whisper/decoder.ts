import { type Dim, hirBuilder, type HirBuilder, type HirModule, type HirValue } from "rlxjs";
import type { WhisperConfig } from "./config.ts";
import { feedForward, keysAndValues, layerNorm, linear } from "./layers.ts";

/**
 * Where the keys and values of earlier tokens are, at most `upper` of them:
 *   state    in states `past_k_i` and `past_v_i`, which a run writes in place
 *   concat   in inputs `past_k_i` and `past_v_i` [B, upper, width], zeros behind the last row; outputs `k_i` and `v_i` [B, upper + 1, width] are
 *            these with the new row at the end
 */
export interface Past {
  readonly form: "state" | "concat";
  readonly upper: number;
}

export interface DecoderPlan {
  readonly batch: number;
  /** Tokens of a run and sequence; 1 with a past in concat form. */
  readonly tokens: Dim;
  /** Absent: the tokens are the first ones of their sequences. Their keys and values are outputs `k_i` and `v_i` [B, tokens, width]. */
  readonly past?: Past;
}

/**
 * The decoder. Inputs: `input_ids` i32 [B, tokens]; `cross_k_i` and `cross_v_i` [B, S, width], which the encoder makes; with a past also `pos` i32 [],
 * the position of the first token; in concat form `mask` bool [1, upper + 1], which rows of the past are there. First output: `logits` [B, tokens, vocab].
 */
export function buildDecoder(config: WhisperConfig, plan: DecoderPlan): HirModule {
  const { batch, tokens, past } = plan;
  const h = hirBuilder(`whisper.decoder.${past ? `${past.form}.${past.upper}` : "prompt"}`);
  const ids = h.input("input_ids", "i32", [batch, tokens]);
  const pos = past && h.input("pos", "i32", []);
  const rows = h.ops.iota({ shape: [tokens] });
  const positions = h.embedding(pos ? h.ops.add(rows, pos) : rows, { weight: "model.decoder.embed_positions.weight" });
  let x = h.ops.add(h.embedding(ids, { weight: "model.decoder.embed_tokens.weight" }), positions);
  const attend = past?.form === "state" ? throughState(h, config, past.upper, pos) : overPast(h, config, batch, past?.upper);
  const caches: KeysAndValues[] = [];
  for (let i = 0; i < config.decoder.layers; i++)
    x = h.scope(`layers.${i}`, () => {
      const layer = `model.decoder.layers.${i}`;
      const { out, cache } = attend(layerNorm(h, x, `${layer}.self_attn_layer_norm`), i);
      if (cache) caches.push(cache);
      const seen = h.ops.add(x, out);
      const heard = crossAttention(h, config, layerNorm(h, seen, `${layer}.encoder_attn_layer_norm`), i, batch);
      return feedForward(h, h.ops.add(seen, heard), layer, config);
    });
  const normed = layerNorm(h, x, "model.decoder.layer_norm");
  h.output("logits", h.lmHead(normed, { weight: config.tied ? "model.decoder.embed_tokens.weight" : "proj_out.weight" }));
  for (const [i, { k, v }] of caches.entries()) h.output(`k_${i}`, k).output(`v_${i}`, v);
  return h.build();
}

interface KeysAndValues {
  readonly k: HirValue;
  readonly v: HirValue;
}
/** Self-attention of a layer: its output, and keys and values that leave the graph. */
type SelfAttention = (x: HirValue, layer: number) => { readonly out: HirValue; readonly cache?: KeysAndValues };

const heads = ({ width, decoder }: WhisperConfig) =>
  ({ numHeads: decoder.heads, numKvHeads: decoder.heads, headDim: width / decoder.heads }) as const;

/** Keys and values go into states: the attention block does all of it. */
function throughState(h: HirBuilder, config: WhisperConfig, upper: number, pos: HirValue | undefined): SelfAttention {
  return (x, i) => {
    const name = `model.decoder.layers.${i}.self_attn`;
    const out = h.attention(x, {
      ...heads(config),
      pos,
      q: `${name}.q_proj.weight`,
      qBias: `${name}.q_proj.bias`,
      k: `${name}.k_proj.weight`,
      v: `${name}.v_proj.weight`,
      vBias: `${name}.v_proj.bias`,
      o: `${name}.out_proj.weight`,
      oBias: `${name}.out_proj.bias`,
      pastK: `past_k_${i}`,
      pastV: `past_v_${i}`,
      capacity: upper + 1,
    });
    return { out };
  };
}

/** Keys and values come in, if there are earlier ones, and go out with the new ones behind. */
function overPast(h: HirBuilder, config: WhisperConfig, batch: number, upper: number | undefined): SelfAttention {
  const mask = upper === undefined ? undefined : h.input("mask", "bool", [1, upper + 1]);
  const past = (name: string, fresh: HirValue): HirValue =>
    upper === undefined ? fresh : h.ops.concat([h.input(name, "f32", [batch, upper, config.width]), fresh], { axis: 1 });
  return (x, i) => {
    const name = `model.decoder.layers.${i}.self_attn`;
    const fresh = keysAndValues(h, x, name);
    const cache = { k: past(`past_k_${i}`, fresh.k), v: past(`past_v_${i}`, fresh.v) };
    const order = mask ? ({ mask, maskKind: "keep" } as const) : { causal: true };
    const seen = h.ops.attention(linear(h, x, `${name}.q_proj`), cache.k, cache.v, { ...heads(config), ...order });
    return { out: linear(h, seen, `${name}.out_proj`), cache };
  };
}

/** Attention to the audio. Its keys and values are inputs: the same for every token. */
function crossAttention(h: HirBuilder, config: WhisperConfig, x: HirValue, i: number, batch: number): HirValue {
  const name = `model.decoder.layers.${i}.encoder_attn`;
  const cross = (kind: "k" | "v"): HirValue => h.input(`cross_${kind}_${i}`, "f32", [batch, config.encoder.positions, config.width]);
  const heard = h.ops.attention(linear(h, x, `${name}.q_proj`), cross("k"), cross("v"), heads(config));
  return linear(h, heard, `${name}.out_proj`);
}
