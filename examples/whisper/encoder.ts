import { hirBuilder, type HirModule, type HirValue } from "rlxjs";
import type { WhisperConfig } from "./config.ts";
import { feedForward, keysAndValues, layerNorm, linear, table } from "./layers.ts";

/**
 * The encoder (Radford et al. 2022). Input: `input_features` f32 [B, melBins, 2 S], the log-mel spectrogram. Outputs: `hidden` [B, S, width],
 * and for each layer i of the decoder `cross_k_i` and `cross_v_i` [B, S, width]: what its cross-attention reads. They depend on the
 * audio alone, so they are computed here, once, and not by the decoder for every token.
 */
export function buildEncoder(config: WhisperConfig, batch: number): HirModule {
  const { heads, layers, positions } = config.encoder;
  const h = hirBuilder("whisper.encoder");
  const convolve = (x: HirValue, name: string, stride: number): HirValue => {
    const weight = (part: string): HirValue => h.param(`model.encoder.${name}.${part}`);
    return h.ops.gelu(h.ops.conv1d(x, weight("weight"), { bias: weight("bias"), stride, padding: 1 }));
  };
  const features = h.input("input_features", "f32", [batch, config.melBins, 2 * positions]);
  const convolved = h.scope("convolutions", () => convolve(convolve(features, "conv1", 1), "conv2", 2));
  let x = h.ops.add(h.ops.transpose(convolved, { perm: [0, 2, 1] }), table(h, "model.encoder.embed_positions.weight"));
  for (let i = 0; i < layers; i++) {
    const layer = `model.encoder.layers.${i}`;
    x = h.scope(`layers.${i}`, () => {
      const normed = layerNorm(h, x, `${layer}.self_attn_layer_norm`);
      const { k, v } = keysAndValues(h, normed, `${layer}.self_attn`);
      const q = linear(h, normed, `${layer}.self_attn.q_proj`);
      const seen = h.ops.attention(q, k, v, { numHeads: heads, numKvHeads: heads, headDim: config.width / heads });
      return feedForward(h, h.ops.add(x, linear(h, seen, `${layer}.self_attn.out_proj`)), layer, config);
    });
  }
  const hidden = layerNorm(h, x, "model.encoder.layer_norm");
  h.output("hidden", hidden);
  for (let i = 0; i < config.decoder.layers; i++) {
    const { k, v } = h.scope(`cross.${i}`, () => keysAndValues(h, hidden, `model.decoder.layers.${i}.encoder_attn`));
    h.output(`cross_k_${i}`, k).output(`cross_v_${i}`, v);
  }
  return h.build();
}
