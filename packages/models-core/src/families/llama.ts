import type { HirBuilder, HirValue } from "@rlxjs/ir";
import { feedForward, type LayerContext, norm, selfAttention } from "./decoder.ts";

/** Llama's layer (Touvron et al. 2023): norm before attention and before the MLP. Also Mistral, Qwen3 and Qwen3-MoE, by their config. */
export function llamaLayer(h: HirBuilder, x: HirValue, c: LayerContext): HirValue {
  const attended = h.ops.add(x, selfAttention(h, norm(h, x, c.weight("input_layernorm.weight"), c.config), c));
  return h.ops.add(attended, feedForward(h, norm(h, attended, c.weight("post_attention_layernorm.weight"), c.config), c));
}
