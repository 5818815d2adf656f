import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Rng, Tensor } from "@rlxjs/ir";
import { writeSafetensors } from "@rlxjs/models-core";
import { writeFileAtomically } from "@rlxjs/models-core/node";

type Config = Readonly<Record<string, unknown>>;

/** Shapes of all tensors that Hugging Face's class of this config has. */
function shapes(c: Config): Map<string, number[]> {
  const n = (key: string): number => Number(c[key]);
  const [width, heads, kv, dim, ffn] = [
    n("hidden_size"),
    n("num_attention_heads"),
    n("num_key_value_heads"),
    n("head_dim"),
    n("intermediate_size"),
  ];
  const out = new Map<string, number[]>([
    ["model.embed_tokens.weight", [n("vocab_size"), width]],
    ["model.norm.weight", [width]],
  ]);
  if (!c.tie_word_embeddings) out.set("lm_head.weight", [n("vocab_size"), width]);
  const mlp = (at: string, size: number): void => {
    out
      .set(`${at}.gate_proj.weight`, [size, width])
      .set(`${at}.up_proj.weight`, [size, width])
      .set(`${at}.down_proj.weight`, [width, size]);
  };
  for (let i = 0; i < n("num_hidden_layers"); i++) {
    const at = `model.layers.${i}`;
    const rows = { q: heads * dim, k: kv * dim, v: kv * dim };
    for (const [name, size] of Object.entries(rows)) {
      out.set(`${at}.self_attn.${name}_proj.weight`, [size, width]);
      if (c.attention_bias) out.set(`${at}.self_attn.${name}_proj.bias`, [size]);
    }
    out.set(`${at}.self_attn.o_proj.weight`, [width, heads * dim]);
    if (c.attention_bias) out.set(`${at}.self_attn.o_proj.bias`, [width]);
    const type = String(c.model_type);
    if (type !== "llama" && type !== "mistral") out.set(`${at}.self_attn.q_norm.weight`, [dim]).set(`${at}.self_attn.k_norm.weight`, [dim]);
    const norms = ["input_layernorm", "post_attention_layernorm"];
    if (type === "gemma3_text") norms.push("pre_feedforward_layernorm", "post_feedforward_layernorm");
    for (const name of norms) out.set(`${at}.${name}.weight`, [width]);
    if (type === "qwen3_moe") {
      out.set(`${at}.mlp.gate.weight`, [n("num_experts"), width]);
      for (let e = 0; e < n("num_experts"); e++) mlp(`${at}.mlp.experts.${e}`, n("moe_intermediate_size"));
    } else mlp(`${at}.mlp`, ffn);
  }
  return out;
}

/** Write a model directory with random weights for a config; returns its path. */
export async function randomModel(config: Config, seed: number): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), "rlxjs-model-"));
  const rng = new Rng(seed);
  const gemma = config.model_type === "gemma3_text";
  const tensors = [...shapes(config)].map(([name, shape]): [string, Tensor] => {
    const size = shape.reduce((a, b) => a * b, 1);
    const matrix = shape.length > 1;
    const scale = matrix ? 1.2 / Math.sqrt(shape.at(-1) ?? 1) : 0.2;
    const shift = name.endsWith("norm.weight") && !gemma ? 1 : 0;
    return [
      name,
      Tensor.from(
        "f32",
        shape,
        rng.normals(size).map((v) => v * scale + shift),
      ),
    ];
  });
  writeFileSync(join(directory, "config.json"), JSON.stringify(config));
  await writeFileAtomically(join(directory, "model.safetensors"), (sink) => writeSafetensors(sink, new Map(tensors)));
  return directory;
}
