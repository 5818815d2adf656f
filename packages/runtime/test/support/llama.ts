import { define, dim, type Graph } from "@rlxjs/ir";

export interface LlamaShape {
  readonly layers: number;
  readonly width: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly hidden: number;
  readonly vocab: number;
  readonly capacity: number;
}

/** A decoder of the Llama kind, written in single ops as an importer would: no fused op, KV caches as states. */
export function llama({ layers, width, heads, kvHeads, hidden, vocab, capacity }: LlamaShape): Graph {
  const headDim = width / heads;
  const seq = dim("seq", { min: 1, max: capacity });
  return define("llama", (g) => {
    const ids = g.input("ids", "i32", [1, seq]);
    const pos = g.input("pos", "i32", []);
    const positions = g.add(g.iota({ shape: [seq], dtype: "i32" }), pos);
    const { cos, sin } = g.ropeTable(positions, g.param("inv_freq", "f32", [headDim / 2]));
    const kvLen = g.add(pos, g.reduceMax(g.add(g.iota({ shape: [seq], dtype: "i32" }), g.constant(1, "i32")), { axes: [0] }));
    const table = g.param("embed", "f32", [vocab, width]);
    let x = g.embedding(table, ids);
    for (let i = 0; i < layers; i++) {
      const w = (name: string, n: number, k: number) => g.param(`layers.${i}.${name}`, "f32", [n, k]);
      const norm = (name: string) => ({ weight: g.param(`layers.${i}.${name}`, "f32", [width]), eps: 1e-5 });
      const cache = (name: string) => g.state(`layers.${i}.${name}`, "f32", [1, capacity, kvHeads * headDim]);
      const h = g.rmsNorm(x, norm("attn_norm"));
      const q = g.rope(g.linear(h, w("wq", width, width)), cos, sin, { headDim });
      const k = g.rope(g.linear(h, w("wk", kvHeads * headDim, width)), cos, sin, { headDim });
      const v = g.linear(h, w("wv", kvHeads * headDim, width));
      const keys = g.kvWrite(cache("k"), k, pos, { headDim });
      const values = g.kvWrite(cache("v"), v, pos, { headDim });
      const a = g.attention(q, keys, values, { qPos: pos, kvLen, numHeads: heads, numKvHeads: kvHeads, headDim, causal: true });
      x = g.add(x, g.linear(a, w("wo", width, width)));
      const m = g.rmsNorm(x, norm("mlp_norm"));
      const gate = g.linear(m, w("gate", hidden, width));
      const up = g.linear(m, w("up", hidden, width));
      x = g.add(x, g.linear(g.mul(g.mul(gate, g.sigmoid(gate)), up), w("down", width, hidden)));
    }
    return { logits: g.linear(g.rmsNorm(x, { weight: g.param("norm", "f32", [width]), eps: 1e-5 }), table) };
  });
}
