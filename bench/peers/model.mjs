// The model that peers are timed on: a Llama of 125 M random weights, written with rlxjs's own GGUF writer.
import { existsSync } from "node:fs";
import { numberToF16, quantize } from "@rlxjs/ir";
import { writeGguf } from "@rlxjs/models-core";
import { writeFileAtomically } from "@rlxjs/models-core/node";

export const shape = { layers: 12, width: 768, heads: 12, kvHeads: 4, ffn: 2048, vocab: 32_000, context: 1024 };
const headDim = shape.width / shape.heads;

/** Uniform random numbers of standard deviation `deviation`, by a 32-bit counter hash (splitmix32), so that files are the same everywhere. */
function random(count, deviation, seed) {
  const out = new Float32Array(count);
  const scale = (deviation * Math.sqrt(12)) / 2 ** 32;
  for (let i = 0; i < count; i++) {
    let z = Math.imul(i + 1, 0x9e3779b9) + Math.imul(seed, 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    out[i] = ((z ^ (z >>> 15)) | 0) * scale;
  }
  return out;
}

const bytesOf = (array) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
const encode = {
  f32: bytesOf,
  f16: (values) => {
    const out = new Uint16Array(values.length);
    for (let i = 0; i < values.length; i++) out[i] = numberToF16(values[i]);
    return bytesOf(out);
  },
};

function tensorsOf(type) {
  let seed = 0;
  const tensor = (name, dtype, dims, values) => ({
    name,
    shape: dims,
    dtype,
    data: () => [encode[dtype]?.(values()) ?? quantize(dtype, values())],
  });
  const matrix = (name, rows, columns) => {
    const own = ++seed;
    return tensor(name, type, [rows, columns], () => random(rows * columns, 1 / Math.sqrt(columns), own));
  };
  const norm = (name) => tensor(name, "f32", [shape.width], () => new Float32Array(shape.width).fill(1));
  const { width, ffn, vocab } = shape;
  const embedding = random(vocab * width, 1, 0);
  const layer = (i) => [
    norm(`blk.${i}.attn_norm.weight`),
    matrix(`blk.${i}.attn_q.weight`, width, width),
    matrix(`blk.${i}.attn_k.weight`, shape.kvHeads * headDim, width),
    matrix(`blk.${i}.attn_v.weight`, shape.kvHeads * headDim, width),
    matrix(`blk.${i}.attn_output.weight`, width, width),
    norm(`blk.${i}.ffn_norm.weight`),
    matrix(`blk.${i}.ffn_gate.weight`, ffn, width),
    matrix(`blk.${i}.ffn_up.weight`, ffn, width),
    matrix(`blk.${i}.ffn_down.weight`, width, ffn),
  ];
  // Row r of the output looks for the embedding of another token. A wholly random output has its two best logits closer together than
  // two correct programs are; with this one the best token is clear, so that disagreement means a mistake.
  const output = () => {
    const rows = new Float32Array(vocab * width);
    for (let r = 0; r < vocab; r++) {
      const from = ((r * 7919 + 13) % vocab) * width;
      for (let c = 0; c < width; c++) rows[r * width + c] = embedding[from + c] / Math.sqrt(width);
    }
    return rows;
  };
  return [
    tensor("token_embd.weight", type, [vocab, width], () => embedding),
    ...Array.from({ length: shape.layers }, (_, i) => layer(i)).flat(),
    norm("output_norm.weight"),
    tensor("output.weight", type, [vocab, width], output),
  ];
}

/** A byte-level BPE vocabulary: three control tokens, the 256 bytes in GPT-2's spelling, and pairs of them. */
function vocabulary() {
  const printable = (b) => (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
  let next = 256;
  const bytes = Array.from({ length: 256 }, (_, b) => String.fromCharCode(printable(b) ? b : next++));
  const pairs = bytes.flatMap((a) => bytes.map((b) => [a, b])).slice(0, shape.vocab - 259);
  const tokens = ["<unk>", "<s>", "</s>", ...bytes, ...pairs.map(([a, b]) => a + b)];
  return { tokens, types: tokens.map((_, i) => (i < 3 ? 3 : 1)), merges: pairs.map(([a, b]) => `${a} ${b}`) };
}

function metadata() {
  const { tokens, types, merges } = vocabulary();
  const u32 = (value) => ({ type: "u32", value });
  const f32 = (value) => ({ type: "f32", value });
  const string = (value) => ({ type: "string", value });
  return new Map([
    ["general.architecture", string("llama")],
    ["general.name", string("random-125m")],
    ["llama.block_count", u32(shape.layers)],
    ["llama.context_length", u32(shape.context)],
    ["llama.embedding_length", u32(shape.width)],
    ["llama.feed_forward_length", u32(shape.ffn)],
    ["llama.attention.head_count", u32(shape.heads)],
    ["llama.attention.head_count_kv", u32(shape.kvHeads)],
    ["llama.attention.layer_norm_rms_epsilon", f32(1e-5)],
    ["llama.rope.dimension_count", u32(headDim)],
    ["llama.rope.freq_base", f32(10_000)],
    ["llama.vocab_size", u32(shape.vocab)],
    ["tokenizer.ggml.model", string("gpt2")],
    ["tokenizer.ggml.pre", string("default")],
    ["tokenizer.ggml.tokens", { type: "array", of: "string", value: tokens }],
    ["tokenizer.ggml.token_type", { type: "array", of: "i32", value: Int32Array.from(types) }],
    ["tokenizer.ggml.merges", { type: "array", of: "string", value: merges }],
    ["tokenizer.ggml.unknown_token_id", u32(0)],
    ["tokenizer.ggml.bos_token_id", u32(1)],
    ["tokenizer.ggml.eos_token_id", u32(2)],
  ]);
}

/** Writes the model with its matrices in `type` unless the file is there. */
export async function writeModel(path, type) {
  if (existsSync(path)) return;
  await writeFileAtomically(path, (sink) => writeGguf(sink, metadata(), tensorsOf(type), path));
}
