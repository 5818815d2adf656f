import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type DType, type JsonObject, Rng, randomTensor, type Tensor, writeFileAtomically, writeSafetensors } from "rlxjs";
import { parseConfig } from "../config.ts";
import { type Golden, readGolden } from "../golden.ts";
import { weightShapes } from "../weights.ts";

export const fixture: string = fileURLToPath(new URL("../fixture", import.meta.url));

/** What transformers computes from the checkpoint of the fixture. */
export async function goldenOfFixture(): Promise<Golden> {
  const golden = await readGolden(fixture);
  if (!golden) throw new Error("no golden.safetensors");
  return golden;
}

/** A configuration in which no two sizes are alike, and most are odd. */
export const oddSizes: JsonObject = {
  model_type: "whisper",
  d_model: 24,
  num_mel_bins: 5,
  vocab_size: 37,
  encoder_layers: 1,
  encoder_attention_heads: 3,
  encoder_ffn_dim: 41,
  max_source_positions: 7,
  decoder_layers: 4,
  decoder_attention_heads: 2,
  decoder_ffn_dim: 19,
  max_target_positions: 23,
  activation_function: "gelu_new",
  tie_word_embeddings: false,
  decoder_start_token_id: 3,
  eos_token_id: 36,
};

/** Write a randomly initialised checkpoint: one file, or shards; `prefix` false: as the model without its head is stored. */
export async function writeCheckpoint(
  path: string,
  json: JsonObject,
  { dtype = "f32" as DType, shards = 1, seed = 1, prefix = true } = {},
): Promise<void> {
  const rng = new Rng(seed);
  const tensors = Object.entries(weightShapes(parseConfig(json))).map(([name, shape]): [string, Tensor] => {
    const columns = shape.slice(1).reduce((a, b) => a * b, 1);
    return [
      prefix ? name : name.replace(/^model\./, ""),
      randomTensor(rng, dtype, shape, name.includes("bias") ? 0.1 : 1.2 / Math.sqrt(columns)),
    ];
  });
  await mkdir(path, { recursive: true });
  await writeFile(join(path, "config.json"), JSON.stringify(json));
  const per = Math.ceil(tensors.length / shards);
  const files = Array.from({ length: shards }, (_, i) => ({
    name: shards === 1 ? "model.safetensors" : `model-${i + 1}-of-${shards}.safetensors`,
    tensors: tensors.slice(i * per, (i + 1) * per),
  }));
  for (const { name, tensors } of files) await writeFileAtomically(join(path, name), (sink) => writeSafetensors(sink, new Map(tensors)));
  const weight_map = Object.fromEntries(files.flatMap(({ name, tensors }) => tensors.map(([tensor]) => [tensor, name])));
  if (shards > 1) await writeFile(join(path, "model.safetensors.index.json"), JSON.stringify({ weight_map }));
}
