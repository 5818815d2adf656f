import type { HirBuilder, HirValue } from "@rlxjs/ir";
import { feedForward, type LayerContext, norm, selfAttention } from "./decoder.ts";

/** Gemma 3's layer (Gemma Team 2025): norms before and after both attention and MLP. */
export function gemma3Layer(h: HirBuilder, x: HirValue, c: LayerContext): HirValue {
  const around = (
    input: HirValue,
    before: string,
    after: string,
    body: (h: HirBuilder, x: HirValue, c: LayerContext) => HirValue,
  ): HirValue => h.ops.add(input, norm(h, body(h, norm(h, input, c.weight(before), c.config), c), c.weight(after), c.config));
  const attended = around(x, "input_layernorm.weight", "post_attention_layernorm.weight", selfAttention);
  return around(attended, "pre_feedforward_layernorm.weight", "post_feedforward_layernorm.weight", feedForward);
}
