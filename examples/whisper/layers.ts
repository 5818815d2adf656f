import type { HirBuilder, HirValue } from "rlxjs";
import type { WhisperConfig } from "./config.ts";

// What encoder and decoder share. `name` is where the weights are: `model.decoder.layers.3.fc1`.

export const linear = (h: HirBuilder, x: HirValue, name: string, { bias = true } = {}): HirValue =>
  h.linear(x, { weight: `${name}.weight`, bias: bias ? `${name}.bias` : undefined });

export const layerNorm = (h: HirBuilder, x: HirValue, name: string): HirValue =>
  h.layerNorm(x, { weight: `${name}.weight`, bias: `${name}.bias` });

/** A small weight to compute with, such as a table of positions: in f32, whatever the checkpoint has. */
export const table = (h: HirBuilder, name: string): HirValue => h.ops.cast(h.param(name), { dtype: "f32" });

/** Keys and values of x [B, S, width], for attention; keys have no bias. */
export function keysAndValues(h: HirBuilder, x: HirValue, name: string): { readonly k: HirValue; readonly v: HirValue } {
  return { k: linear(h, x, `${name}.k_proj`, { bias: false }), v: linear(h, x, `${name}.v_proj`) };
}

/** x + fc2(activation(fc1(norm(x)))). */
export function feedForward(h: HirBuilder, x: HirValue, layer: string, { activation }: WhisperConfig): HirValue {
  const normed = layerNorm(h, x, `${layer}.final_layer_norm`);
  const fed = h.mlp(normed, {
    activation,
    up: `${layer}.fc1.weight`,
    upBias: `${layer}.fc1.bias`,
    down: `${layer}.fc2.weight`,
    downBias: `${layer}.fc2.bias`,
  });
  return h.ops.add(x, fed);
}
