import { type Dim, hirBuilder, type HirModule, type HirValue, Tensor } from "@rlxjs/ir";
import type { ModelConfig } from "../config/model-config.ts";

export interface EncoderPlan {
  readonly name: string;
  readonly batch: Dim;
  readonly seq: Dim;
}

/**
 * BERT's encoder (Devlin et al. 2018). Inputs: `input_ids` i32 [B, S], `attention_mask` bool [B, S] (false: padding). Outputs:
 * `last_hidden_state` [B, S, D] and `mean_pooled` [B, D], the mean over the rows that are not padding.
 */
export function buildBert(config: ModelConfig, plan: EncoderPlan): HirModule {
  const { batch, seq } = plan;
  const h = hirBuilder(plan.name);
  const ids = h.input("input_ids", "i32", [batch, seq]);
  const mask = h.input("attention_mask", "bool", [batch, seq]);
  const layerNorm = (x: HirValue, name: string): HirValue =>
    h.layerNorm(x, { weight: `${name}.weight`, bias: `${name}.bias`, eps: config.normEps });
  let x = h.scope("embeddings", () => {
    const words = h.embedding(ids, { weight: "embeddings.word_embeddings.weight" });
    const positions = h.embedding(h.ops.iota({ shape: [seq] }), { weight: "embeddings.position_embeddings.weight" });
    const segment = h.embedding(h.constant(Tensor.zeros("i32", [1, 1])), { weight: "embeddings.token_type_embeddings.weight" });
    return layerNorm(h.ops.add(h.ops.add(words, segment), positions), "embeddings.LayerNorm");
  });
  for (let i = 0; i < config.numLayers; i++) {
    const name = (part: string): string => `encoder.layer.${i}.${part}`;
    x = h.scope(`layers.${i}`, () => {
      const attended = h.attention(x, {
        mask,
        causal: false,
        numHeads: config.numHeads,
        headDim: config.headDim,
        scale: config.attentionScale,
        q: name("attention.self.query.weight"),
        qBias: name("attention.self.query.bias"),
        k: name("attention.self.key.weight"),
        kBias: name("attention.self.key.bias"),
        v: name("attention.self.value.weight"),
        vBias: name("attention.self.value.bias"),
        o: name("attention.output.dense.weight"),
        oBias: name("attention.output.dense.bias"),
      });
      const middle = layerNorm(h.ops.add(attended, x), name("attention.output.LayerNorm"));
      const fed = h.mlp(middle, {
        activation: config.activation,
        up: name("intermediate.dense.weight"),
        upBias: name("intermediate.dense.bias"),
        down: name("output.dense.weight"),
        downBias: name("output.dense.bias"),
      });
      return layerNorm(h.ops.add(fed, middle), name("output.LayerNorm"));
    });
  }
  h.output("last_hidden_state", x);
  const pooled = h.scope("pool", () => {
    const kept = h.ops.reshape(h.ops.cast(mask, { dtype: "f32" }), { shape: [batch, seq, 1] });
    return h.ops.div(h.ops.reduceSum(h.ops.mul(x, kept), { axes: [1] }), h.ops.reduceSum(kept, { axes: [1] }));
  });
  return h.output("mean_pooled", pooled).build();
}
