import { type DType, dtypes, isBlock, Tensor } from "@rlxjs/ir";
import type { Checkpoint } from "./checkpoint.ts";
import { readHfConfig } from "./config/hf-config.ts";
import type { ModelConfig } from "./config/model-config.ts";
import { configToGguf } from "./config/to-gguf.ts";
import { ModelFileError } from "./errors.ts";
import type { GgufValue } from "./gguf/metadata.ts";
import { type GgufTensorInput, writeGguf } from "./gguf/writer.ts";
import { readJsonFile } from "./json.ts";
import { ggufName } from "./names.ts";
import { openSafetensorsDirectory } from "./safetensors.ts";
import type { ByteSink, Directory } from "./source.ts";
import { readTokenizerConfig } from "./tokenizer/from-directory.ts";
import { tokenizerToGguf } from "./tokenizer/to-gguf.ts";

/** What matrices are stored as. */
export const convertTypes = ["f32", "f16", "bf16", "q8_0", "q4_0"] as const;
export type ConvertType = (typeof convertTypes)[number];

/** `general.file_type`. */
const fileTypes: Readonly<Record<ConvertType, number>> = { f32: 0, f16: 1, q4_0: 2, q8_0: 7, bf16: 32 };

export interface ConvertReport {
  readonly architecture: string;
  readonly tensors: number;
  readonly bytes: number;
  /** Tensors that were not converted, types that were changed, and what other readers will do differently. */
  readonly notes: readonly string[];
}

export interface ConvertOptions {
  readonly type: ConvertType;
  /** `general.name`. */
  readonly name?: string;
  /** Called with how many of the tensors have been written. */
  readonly onProgress?: (written: number, total: number) => void;
}

/**
 * Write a Hugging Face model directory (config.json, safetensors, tokenizer.json when there is one) as a GGUF file that llama.cpp
 * computes the same from: llama's q and k rows permuted for interleaved rope, Gemma's norms with their offset added, experts stacked.
 * Vectors stay f32. Everything that can be wrong with the model is found before the first byte is written.
 */
export async function convertToGguf(directory: Directory, sink: ByteSink, options: ConvertOptions): Promise<ConvertReport> {
  const json = await readJsonFile(directory, "config.json");
  if (!json) throw new ModelFileError({ file: directory.name, expected: "a config.json", given: "none" });
  const config = readHfConfig(json, await readJsonFile(directory, "generation_config.json"));
  const settings = configToGguf(config);
  const notes: string[] = [];
  const metadata = new Map<string, GgufValue>(settings.values);
  metadata.set("general.type", { type: "string", value: "model" });
  if (options.name !== undefined) metadata.set("general.name", { type: "string", value: options.name });
  metadata.set("general.file_type", { type: "u32", value: fileTypes[options.type] });
  if (isBlock(options.type)) metadata.set("general.quantization_version", { type: "u32", value: 2 });
  await addTokenizer(metadata, directory, config, notes);
  if (config.architecture === "llama" && config.slidingWindow !== undefined)
    notes.push("llama.cpp does not know the sliding window of this model; it differs on texts that are longer");
  if (config.moe && !config.moe.normalize) notes.push("llama.cpp normalises the experts' weights, which this model does not");

  using checkpoint = await openSafetensorsDirectory(directory);
  const tensors = plan(checkpoint, config, options.type, notes);
  if (settings.ropeDivisors) tensors.push(ropeFreqs(settings.ropeDivisors));
  let written = 0;
  let bytes = 0;
  const counted: ByteSink = {
    async write(piece) {
      bytes += piece.byteLength;
      await sink.write(piece);
    },
  };
  const inputs = tensors.map(
    (t): GgufTensorInput => ({
      ...t,
      async *data() {
        yield* t.data();
        options.onProgress?.(++written, tensors.length);
      },
    }),
  );
  await writeGguf(counted, metadata, inputs, options.name);
  return { architecture: config.architecture, tensors: tensors.length, bytes, notes };
}

async function addTokenizer(metadata: Map<string, GgufValue>, directory: Directory, config: ModelConfig, notes: string[]): Promise<void> {
  const tokenizer = await readJsonFile(directory, "tokenizer.json");
  if (tokenizer) {
    const given = tokenizerToGguf(tokenizer, await readTokenizerConfig(directory), config.vocabSize);
    for (const [key, value] of given.values) metadata.set(key, value);
    notes.push(...given.notes);
  } else {
    metadata.set("tokenizer.ggml.model", { type: "string", value: "none" });
    notes.push("there is no tokenizer.json; the file has no tokenizer");
  }
  const setId = (key: string, value: number | undefined): void => {
    if (value !== undefined && !metadata.has(key)) metadata.set(key, { type: "u32", value });
  };
  setId("tokenizer.ggml.bos_token_id", config.bosTokenId);
  setId("tokenizer.ggml.eos_token_id", config.eosTokenIds[0]);
  setId("tokenizer.ggml.padding_token_id", config.padTokenId);
  if (config.eosTokenIds.length > 1)
    metadata.set("tokenizer.rlxjs.eos_token_ids", { type: "array", of: "u32", value: Uint32Array.from(config.eosTokenIds) });
}

/** What becomes of the checkpoint's tensors, without reading any of them. */
function plan(checkpoint: Checkpoint, config: ModelConfig, type: ConvertType, notes: string[]): GgufTensorInput[] {
  /** By the name in GGUF: the tensors that it is made of, by expert; a tensor that is there as a whole is number 0. */
  const parts = new Map<string, Map<number, string>>();
  for (const stored of checkpoint.names()) {
    const to = ggufName(config.architecture, stored);
    if (!to) {
      notes.push(`${stored} is not part of a ${config.architecture} model and was left out`);
      continue;
    }
    if (to.name === "output.weight" && config.tieWordEmbeddings) continue;
    const list = parts.get(to.name) ?? new Map<number, string>();
    list.set(to.expert ?? 0, stored);
    parts.set(to.name, list);
  }
  return [...parts].map(([name, list]) => {
    const stacked = name.endsWith("_exps.weight") && [...list.values()].some((s) => checkpoint.info(s).shape.length === 2);
    const expected = stacked ? (config.moe?.numExperts ?? 0) : 1;
    const stored = Array.from({ length: expected }, (_, e) => list.get(e)).filter((s) => s !== undefined);
    if (stored.length !== expected || list.size !== expected)
      throw new ModelFileError({ file: checkpoint.file, tensor: name, expected: `${expected} experts`, given: `${list.size}` });
    return tensorInput(checkpoint, config, { name, stored, stacked }, type, notes);
  });
}

interface Planned {
  readonly name: string;
  readonly stored: readonly string[];
  /** The parts become one tensor with a new first axis. */
  readonly stacked: boolean;
}

function tensorInput(checkpoint: Checkpoint, config: ModelConfig, p: Planned, type: ConvertType, notes: string[]): GgufTensorInput {
  const [first] = p.stored.map((s) => checkpoint.info(s));
  if (!first) throw new ModelFileError({ file: checkpoint.file, tensor: p.name, expected: "a tensor", given: "none" });
  for (const s of p.stored) {
    const { shape } = checkpoint.info(s);
    if (shape.join() !== first.shape.join())
      throw new ModelFileError({
        file: checkpoint.file,
        tensor: s,
        expected: `the shape [${first.shape}] of ${first.name}`,
        given: `[${shape}]`,
      });
  }
  const shape = p.stacked ? [p.stored.length, ...first.shape] : first.shape;
  const dtype = storedType(p.name, shape, type, notes);
  const heads = permutedHeads(p.name, config);
  if (heads !== undefined && (first.shape[0] ?? 0) % (2 * heads) !== 0)
    throw new ModelFileError({
      file: checkpoint.file,
      tensor: first.name,
      expected: `rows for ${heads} heads of even size`,
      given: `[${first.shape}]`,
    });
  const offset = /norm\.weight$/.test(p.name) ? config.normOffset : 0;
  return {
    name: p.name,
    shape,
    dtype,
    async *data() {
      for (const s of p.stored) {
        const t = await checkpoint.tensor(s);
        yield* convert(heads === undefined ? t : permute(t, heads), dtype, offset);
      }
    },
  };
}

/** Vectors, and what llama.cpp wants exact, stay f32; rows that do not fill blocks become f16. */
function storedType(name: string, shape: readonly number[], type: ConvertType, notes: string[]): ConvertType {
  if (shape.length < 2 || /ffn_gate_inp\.|position_embd\.|token_types\./.test(name)) return "f32";
  const last = shape[shape.length - 1] ?? 0;
  if (last % dtypes[type].blockSize === 0) return type;
  notes.push(`${name} has rows of ${last}, not a multiple of ${dtypes[type].blockSize}, and was stored as f16`);
  return "f16";
}

/** Heads whose rows are permuted: q and k of llama files, whose rope pairs neighbours. */
function permutedHeads(name: string, config: ModelConfig): number | undefined {
  if (config.architecture !== "llama") return undefined;
  if (/\.attn_q\.(weight|bias)$/.test(name)) return config.numHeads;
  return /\.attn_k\.(weight|bias)$/.test(name) ? config.numKvHeads : undefined;
}

/** Row (head, half, i) becomes row (head, i, half): pairs (i, i + D/2) become neighbours. */
function permute(t: Tensor, heads: number): Tensor {
  const rows = t.shape[0] ?? 0;
  const rowBytes = t.bytes.byteLength / rows;
  const half = rows / heads / 2;
  const from = t.bytes;
  const to = new Uint8Array(from.byteLength);
  for (let h = 0; h < heads; h++)
    for (let s = 0; s < 2; s++)
      for (let i = 0; i < half; i++) {
        const source = ((h * 2 + s) * half + i) * rowBytes;
        to.set(from.subarray(source, source + rowBytes), ((h * half + i) * 2 + s) * rowBytes);
      }
  return Tensor.fromBytes(t.dtype, t.shape, to);
}

/** Elements that are converted at a time: a multiple of every block size. */
const chunk = 2 ** 20;

/** The elements of a tensor in another dtype, plus `offset`, piece by piece. */
function* convert(t: Tensor, dtype: DType, offset: number): Generator<Uint8Array> {
  if (t.dtype === dtype && offset === 0) {
    yield t.bytes;
    return;
  }
  const { blockBytes, blockSize } = dtypes[t.dtype];
  for (let at = 0; at < t.size; at += chunk) {
    const n = Math.min(chunk, t.size - at);
    const piece = Tensor.fromBytes(t.dtype, [n], t.bytes.subarray((at / blockSize) * blockBytes, ((at + n) / blockSize) * blockBytes));
    const values = piece.values();
    yield Tensor.from(dtype, [n], offset === 0 ? values : values.map((v) => v + offset)).bytes;
  }
}

function ropeFreqs(divisors: readonly number[]): GgufTensorInput {
  const t = Tensor.from("f32", [divisors.length], divisors);
  return { name: "rope_freqs.weight", shape: t.shape, dtype: "f32", data: () => [t.bytes] };
}
