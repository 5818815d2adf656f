import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  type DType,
  type JsonObject,
  openDirectory,
  openSafetensors,
  Rng,
  randomTensor,
  type Tensor,
  writeFileAtomically,
  writeSafetensors,
} from "rlxjs";
import { parseConfig } from "../config.ts";
import { weightShapes } from "../weights.ts";

export const fixture: string = fileURLToPath(new URL("../fixture", import.meta.url));

/** What Hugging Face transformers computes from the checkpoint of the fixture. */
export async function readGolden(): Promise<(name: string) => Tensor> {
  const directory = await openDirectory(fixture);
  const source = await directory.open("golden.safetensors");
  if (!source) throw new Error("no golden.safetensors");
  using file = await openSafetensors(source);
  const tensors = new Map<string, Tensor>();
  for (const name of file.names()) tensors.set(name, await file.tensor(name));
  return (name) => {
    const tensor = tensors.get(name);
    if (!tensor) throw new Error(`no ${name} in the golden file`);
    return tensor;
  };
}

/** Rows of a tensor [rows, ..., n] as lists. */
export const rowsOf = (tensor: Tensor): number[][] => {
  const values = tensor.toArray();
  const width = values.length / (tensor.shape[0] ?? 1);
  return Array.from({ length: tensor.shape[0] ?? 0 }, (_, i) => values.slice(i * width, (i + 1) * width));
};

/** Largest difference in units of the largest expected magnitude; NaN when the sizes differ. */
export function difference(actual: ArrayLike<number> | undefined, expected: ArrayLike<number>): number {
  if (actual?.length !== expected.length) return Number.NaN;
  let [worst, peak] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    const off = Math.abs((actual[i] ?? Number.NaN) - (expected[i] ?? Number.NaN));
    worst = off <= worst ? worst : off; // NaN stays
    peak = Math.max(peak, Math.abs(expected[i] ?? 0));
  }
  return worst / peak;
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

/** Write a randomly initialised checkpoint: one file, or shards. */
export async function writeCheckpoint(
  path: string,
  json: JsonObject,
  { dtype = "f32" as DType, shards = 1, seed = 1 } = {},
): Promise<void> {
  const rng = new Rng(seed);
  const tensors = Object.entries(weightShapes(parseConfig(json))).map(([name, shape]): [string, Tensor] => {
    const columns = shape.slice(1).reduce((a, b) => a * b, 1);
    return [name, randomTensor(rng, dtype, shape, name.includes("bias") ? 0.1 : 1.2 / Math.sqrt(columns))];
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
