import { mkdtempSync, rmSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type JsonObject, Tensor } from "rlxjs";
import { afterAll, expect, test } from "vitest";
import { parseConfig } from "../config.ts";
import { Whisper } from "../whisper.ts";
import { fixture, goldenOfFixture, oddSizes, writeCheckpoint } from "./support.ts";

const folder = mkdtempSync(join(tmpdir(), "whisper-errors-"));
afterAll(() => rmSync(folder, { recursive: true }));
const golden = await goldenOfFixture();

test("a configuration that is wrong is refused by field", () => {
  const parse = (change: JsonObject) => () => parseConfig({ ...oddSizes, ...change });
  expect(parse({ model_type: "bart" })).toThrowErrorMatchingInlineSnapshot(
    `[ModelConfigError: config.json: model_type: expected "whisper", got "bart"]`,
  );
  expect(parse({ d_model: 0 })).toThrowErrorMatchingInlineSnapshot(
    `[ModelConfigError: config.json: d_model: expected an integer from 1 to 2^31, got 0]`,
  );
  expect(parse({ decoder_layers: 1.5 })).toThrowErrorMatchingInlineSnapshot(
    `[ModelConfigError: config.json: decoder_layers: expected an integer from 1 to 2^31, got 1.5]`,
  );
  expect(parse({ encoder_attention_heads: 5 })).toThrowErrorMatchingInlineSnapshot(
    `[ModelConfigError: config.json: encoder_attention_heads: expected a divisor of d_model 24, got 5]`,
  );
  expect(parse({ activation_function: "toString" })).toThrowErrorMatchingInlineSnapshot(
    `[ModelConfigError: config.json: activation_function: expected one of gelu, gelu_new, gelu_pytorch_tanh, relu, silu, swish, got "toString"]`,
  );
  expect(parse({ eos_token_id: [1, -2] })).toThrowErrorMatchingInlineSnapshot(
    `[ModelConfigError: config.json: eos_token_id: expected a token id, or a list of them, got [1,-2]]`,
  );
  expect([[1, 2], 3, null].map((eos_token_id) => parse({ eos_token_id })().endIds)).toEqual([[1, 2], [3], []]);
  expect(parse({ tie_word_embeddings: "no" })).toThrowErrorMatchingInlineSnapshot(
    `[ModelConfigError: config.json: tie_word_embeddings: expected true or false, got "no"]`,
  );
});

test("a checkpoint that does not fit its configuration is refused by tensor", async () => {
  const path = join(folder, "checkpoint");
  await writeCheckpoint(path, oddSizes);
  const changed = async (change: JsonObject): Promise<Whisper> => {
    await writeFile(join(path, "config.json"), JSON.stringify({ ...oddSizes, ...change }));
    return Whisper.open(path);
  };
  await expect(changed({ decoder_layers: 5 })).rejects.toThrow(
    /"model.decoder.layers.4.self_attn.q_proj.weight": expected a tensor of this name, got \d+ others/,
  );
  await expect(changed({ encoder_ffn_dim: 40 })).rejects.toThrow(
    `"model.encoder.layers.0.fc1.weight": expected floats [40,24], got F32 [41,24]`,
  );
  await expect(Whisper.open(folder)).rejects.toThrow("expected config.json, got no such file");
});

test("features and tokens that the model cannot take are refused", async () => {
  using model = await Whisper.open(fixture);
  await expect(model.encode(Tensor.zeros("f32", [1, 16, 79]))).rejects.toThrowErrorMatchingInlineSnapshot(
    `[WhisperInputError: whisper: features: expected f32[1, 16, 80], got f32[1, 16, 79]]`,
  );
  await expect(model.encode(Tensor.zeros("f64", [1, 16, 80]))).rejects.toThrowErrorMatchingInlineSnapshot(
    `[WhisperInputError: whisper: features: expected f32[1, 16, 80], got f64[1, 16, 80]]`,
  );
  await expect(model.encode(Tensor.zeros("f32", [0, 16, 80]))).rejects.toThrowErrorMatchingInlineSnapshot(
    `[WhisperInputError: whisper: features: expected f32[1, 16, 80], got f32[0, 16, 80]]`,
  );
  const audio = await model.encode(golden.features);
  await expect(model.decodeAll(audio, [[1]])).rejects.toThrowErrorMatchingInlineSnapshot(
    `[WhisperInputError: whisper: tokens: expected 2 lists, one per recording, got 1]`,
  );
  await expect(model.decodeAll(audio, [[1], [2, 3]])).rejects.toThrowErrorMatchingInlineSnapshot(
    `[WhisperInputError: whisper: tokens: expected lists of one length from 1 to 96, got 1,2]`,
  );
  await expect(model.decodeAll(audio, [[1], [320]])).rejects.toThrowErrorMatchingInlineSnapshot(
    `[WhisperInputError: whisper: tokens: expected ids from 0 to 319, got 320]`,
  );
  const long = Array.from({ length: 97 }, () => 1);
  await expect(model.decodeAll(audio, [long, long])).rejects.toThrowErrorMatchingInlineSnapshot(
    `[WhisperInputError: whisper: tokens: expected lists of one length from 1 to 96, got 97,97]`,
  );
});

test("every call can be aborted, and the model goes on", async () => {
  const signal = AbortSignal.abort(new Error("enough"));
  await expect(Whisper.open(fixture, { signal })).rejects.toThrow("enough");
  using model = await Whisper.open(fixture);
  const features = golden.features;
  await expect(model.encode(features, { signal })).rejects.toThrow("enough");
  const audio = await model.encode(features);
  const ids = golden.prompts;
  await expect(model.decodeAll(audio, ids, { signal })).rejects.toThrow("enough");
  expect((await model.decodeAll(audio, ids)).logits.shape).toEqual([2, 13, 320]);
});
