import type { Tensor } from "@rlxjs/ir";
import type { Checkpoint, TensorInfo } from "./checkpoint.ts";
import type { Architecture, ModelConfig } from "./config/model-config.ts";
import { ModelFileError } from "./errors.ts";

/*
 * One scheme of tensor names: those of Hugging Face's text models, without wrappers' prefixes. These tables give GGUF's names for them
 * (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md). {n} is a layer, {e} an expert; GGUF stacks the experts' matrices into one
 * tensor [experts, rows, columns], which the scheme calls `mlp.experts.gate_proj.weight`.
 */

type Names = readonly (readonly [hf: string, gguf: string])[];

const linear = (hf: string, gguf: string): Names => [
  [`${hf}.weight`, `${gguf}.weight`],
  [`${hf}.bias`, `${gguf}.bias`],
];
const inLayers = (hf: string, names: Names): Names => names.map(([a, b]) => [`${hf}.{n}.${a}`, `blk.{n}.${b}`]);

const decoder = (layer: Names): Names => [
  ["model.embed_tokens.weight", "token_embd.weight"],
  ["model.norm.weight", "output_norm.weight"],
  ["lm_head.weight", "output.weight"],
  ...inLayers("model.layers", [
    ["input_layernorm.weight", "attn_norm.weight"],
    ...linear("self_attn.q_proj", "attn_q"),
    ...linear("self_attn.k_proj", "attn_k"),
    ...linear("self_attn.v_proj", "attn_v"),
    ...linear("self_attn.o_proj", "attn_output"),
    ...linear("mlp.gate_proj", "ffn_gate"),
    ...linear("mlp.up_proj", "ffn_up"),
    ...linear("mlp.down_proj", "ffn_down"),
    ...layer,
  ]),
];
const qkNorms: Names = [
  ["self_attn.q_norm.weight", "attn_q_norm.weight"],
  ["self_attn.k_norm.weight", "attn_k_norm.weight"],
];
const postAttentionIsFfnNorm: Names = [["post_attention_layernorm.weight", "ffn_norm.weight"]];

const tables: Readonly<Record<Architecture, Names>> = {
  llama: decoder(postAttentionIsFfnNorm),
  qwen3: decoder([...qkNorms, ...postAttentionIsFfnNorm]),
  qwen3moe: decoder([
    ...qkNorms,
    ...postAttentionIsFfnNorm,
    ["mlp.gate.weight", "ffn_gate_inp.weight"],
    ...["gate", "up", "down"].flatMap(
      (part): Names => [
        [`mlp.experts.{e}.${part}_proj.weight`, `ffn_${part}_exps.weight`],
        [`mlp.experts.${part}_proj.weight`, `ffn_${part}_exps.weight`],
      ],
    ),
  ]),
  gemma3: decoder([
    ...qkNorms,
    ["post_attention_layernorm.weight", "post_attention_norm.weight"],
    ["pre_feedforward_layernorm.weight", "ffn_norm.weight"],
    ["post_feedforward_layernorm.weight", "post_ffw_norm.weight"],
  ]),
  bert: [
    ["embeddings.word_embeddings.weight", "token_embd.weight"],
    ["embeddings.position_embeddings.weight", "position_embd.weight"],
    ["embeddings.token_type_embeddings.weight", "token_types.weight"],
    ...linear("embeddings.LayerNorm", "token_embd_norm"),
    ...inLayers("encoder.layer", [
      ...linear("attention.self.query", "attn_q"),
      ...linear("attention.self.key", "attn_k"),
      ...linear("attention.self.value", "attn_v"),
      ...linear("attention.output.dense", "attn_output"),
      ...linear("attention.output.LayerNorm", "attn_output_norm"),
      ...linear("intermediate.dense", "ffn_up"),
      ...linear("output.dense", "ffn_down"),
      ...linear("output.LayerNorm", "layer_output_norm"),
    ]),
  ],
};

/** Numbers out of a name, so that it can be looked up: `a.12.b.3` is `a.{n}.b.{e}` with 12 and 3. */
function template(name: string): { readonly key: string; readonly layer: string; readonly expert: string } {
  let layer = "";
  let expert = "";
  const key = name.replace(/(?<=\.)(0|[1-9]\d{0,5})(?=\.)/g, (digits) => {
    if (layer === "") {
      layer = digits;
      return "{n}";
    }
    expert = digits;
    return "{e}";
  });
  return { key, layer, expert };
}

/** Spellings that mean the same: wrappers around a text model, bare base models, and the first BERT's norms. */
function plainHfName(architecture: Architecture, name: string): string {
  if (architecture === "bert")
    return name
      .replace(/^bert\./, "")
      .replace(/\.gamma$/, ".weight")
      .replace(/\.beta$/, ".bias");
  const inner = name.replace(/^language_model\./, "").replace(/^model\.language_model\./, "model.");
  return /^(layers|embed_tokens|norm)\./.test(inner) ? `model.${inner}` : inner;
}

export interface GgufName {
  readonly name: string;
  /** Which expert's part of the tensor it is. */
  readonly expert: number | undefined;
}

/** GGUF's name of a tensor; undefined when the family has no such tensor. */
export function ggufName(architecture: Architecture, hfName: string): GgufName | undefined {
  const { key, layer, expert } = template(plainHfName(architecture, hfName));
  const found = tables[architecture].find(([hf]) => hf === key);
  return found && { name: found[1].replace("{n}", layer), expert: expert === "" ? undefined : Number(expert) };
}

/** The scheme's name of a GGUF tensor; undefined when the family has no such tensor. */
export function hfName(architecture: Architecture, ggufName: string): string | undefined {
  const { key, layer } = template(ggufName);
  const found = tables[architecture].find(([hf, gguf]) => gguf === key && !hf.includes("{e}"));
  return found?.[0].replace("{n}", layer);
}

/** A model's tensors under the scheme's names. Tensors that the family does not know keep the names that they have in the file. */
export function canonicalCheckpoint(checkpoint: Checkpoint, { architecture, naming }: ModelConfig): Checkpoint {
  const rename = (name: string): string => (naming === "gguf" ? (hfName(architecture, name) ?? name) : plainHfName(architecture, name));
  return new RenamedCheckpoint(checkpoint, rename);
}

class RenamedCheckpoint implements Checkpoint {
  readonly file: string;
  readonly mapped: boolean;
  readonly #inner: Checkpoint;
  readonly #stored = new Map<string, string>();

  constructor(inner: Checkpoint, rename: (name: string) => string) {
    this.#inner = inner;
    this.file = inner.file;
    this.mapped = inner.mapped;
    for (const stored of inner.names()) {
      const name = rename(stored);
      const other = this.#stored.get(name);
      if (other !== undefined)
        throw new ModelFileError({ file: this.file, tensor: stored, expected: "one tensor of each meaning", given: `${other} too` });
      this.#stored.set(name, stored);
    }
  }

  names(): readonly string[] {
    return [...this.#stored.keys()];
  }
  has(name: string): boolean {
    return this.#stored.has(name);
  }
  info(name: string): TensorInfo {
    return { ...this.#inner.info(this.#stored.get(name) ?? name), name };
  }
  tensor(name: string): Promise<Tensor> {
    return this.#inner.tensor(this.#stored.get(name) ?? name);
  }
  tensorSync(name: string): Tensor {
    return this.#inner.tensorSync(this.#stored.get(name) ?? name);
  }
  unused(): readonly string[] {
    return this.#inner.unused();
  }
  [Symbol.dispose](): void {
    this.#inner[Symbol.dispose]();
  }
}
