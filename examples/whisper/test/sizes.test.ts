import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DType, type JsonObject, Rng, randomTensor } from "rlxjs";
import { afterAll, expect, test } from "vitest";
import { difference, rowsOf } from "../golden.ts";
import { Whisper } from "../whisper.ts";
import { PlainWhisper } from "./plain-whisper.ts";
import { oddSizes, writeCheckpoint } from "./support.ts";

const folder = mkdtempSync(join(tmpdir(), "whisper-"));
afterAll(() => rmSync(folder, { recursive: true }));

const variants: readonly { name: string; json: JsonObject; dtype: DType; shards: number; prefix?: boolean }[] = [
  { name: "odd sizes, logits of their own", json: {}, dtype: "f32", shards: 1 },
  { name: "f16 in three shards, tied, gelu", json: { tie_word_embeddings: true, activation_function: "gelu" }, dtype: "f16", shards: 3 },
  { name: "names without a prefix", json: { decoder_layers: 1 }, dtype: "f32", shards: 2, prefix: false },
  { name: "bf16, relu", json: { activation_function: "relu" }, dtype: "bf16", shards: 1 },
  {
    name: "one head of the encoder, heads of one element in the decoder, silu",
    json: { encoder_layers: 1, decoder_layers: 1, encoder_attention_heads: 1, decoder_attention_heads: 24, activation_function: "silu" },
    dtype: "f32",
    shards: 1,
  },
];

test.each(variants)("$name: the graphs compute what plain loops do", async ({ name, json, ...stored }) => {
  const path = join(folder, name);
  await writeCheckpoint(path, { ...oddSizes, ...json }, stored);
  using model = await Whisper.open(path);
  const { melBins, encoder, vocab, decoder } = model.config;
  const rng = new Rng(8);
  const features = randomTensor(rng, "f32", [3, melBins, 2 * encoder.positions]);
  const audio = await model.encode(features);
  const ids = Array.from({ length: 3 }, () => Array.from({ length: decoder.positions }, () => rng.int(0, vocab - 1)));
  const { logits } = await model.decodeAll(audio, ids);
  const plain = new PlainWhisper(model.config, (name) => model.weights.get(name));
  for (const [i, recording] of rowsOf(features).entries()) {
    const hidden = plain.encode(recording);
    expect(difference(rowsOf(audio.hidden)[i] ?? [], hidden)).toBeLessThan(1e-5);
    expect(difference(rowsOf(logits)[i] ?? [], plain.decode(hidden, ids[i] ?? []))).toBeLessThan(1e-5);
  }
});
