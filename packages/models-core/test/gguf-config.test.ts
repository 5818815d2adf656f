import { RlxError, Tensor } from "@rlxjs/ir";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  convertToGguf,
  type GgufValue,
  memorySource,
  ModelConfigError,
  openGguf,
  readGgufConfig,
  tokenizerFromGguf,
  writeGguf,
} from "../src/index.ts";
import { openDirectory } from "../src/node/files.ts";
import { collect, path } from "./fixtures.ts";

const u32 = (value: number): GgufValue => ({ type: "u32", value });
const f32 = (value: number): GgufValue => ({ type: "f32", value });
const string = (value: string): GgufValue => ({ type: "string", value });

/** The least that a model says about itself. */
const least = (architecture: string): Record<string, GgufValue> => ({
  "general.architecture": string(architecture),
  [`${architecture}.block_count`]: u32(12),
  [`${architecture}.context_length`]: u32(256),
  [`${architecture}.embedding_length`]: u32(64),
  [`${architecture}.feed_forward_length`]: u32(128),
  [`${architecture}.attention.head_count`]: u32(4),
  [`${architecture}.attention.layer_norm_rms_epsilon`]: f32(0.5),
});

async function read(values: Record<string, GgufValue>, tensors: Record<string, Tensor> = {}) {
  const all = Object.entries({ "token_embd.weight": Tensor.zeros("f32", [320, 64]), ...tensors });
  const inputs = all.map(([name, t]) => ({ name, shape: t.shape, dtype: t.dtype, data: () => [t.bytes] }));
  using file = await openGguf(memorySource("m.gguf", await collect((sink) => writeGguf(sink, new Map(Object.entries(values)), inputs))));
  return readGgufConfig(file);
}

describe("settings from GGUF metadata", () => {
  it("has defaults for what files leave out", async () => {
    expect(await read(least("llama"))).toMatchObject({
      architecture: "llama",
      vocabSize: 320,
      numKvHeads: 4,
      headDim: 16,
      rope: { theta: 10_000, dim: 16, interleaved: true, scaling: { type: "none" } },
      slidingWindow: undefined,
      tieWordEmbeddings: true,
      qkNorm: false,
      attentionBias: false,
    });
  });
  it("learns from the tensors that are there", async () => {
    const norm = Tensor.zeros("f32", [16]);
    const c = await read(least("qwen3"), { "output.weight": norm, "blk.0.attn_q_norm.weight": norm, "blk.0.attn_q.bias": norm });
    expect(c).toMatchObject({ tieWordEmbeddings: false, qkNorm: true, attentionBias: true, rope: { interleaved: false } });
  });
  it("gemma 3: five sliding layers, then a full one, with ropes of their own", async () => {
    const c = await read({
      ...least("gemma3"),
      "gemma3.attention.sliding_window": u32(8),
      "gemma3.rope.freq_base": f32(1e6),
      "gemma3.rope.scaling.type": string("linear"),
      "gemma3.rope.scaling.factor": f32(8),
    });
    expect(c.layerTypes.map((t) => t[0]).join("")).toBe("sssssfsssssf");
    expect(c).toMatchObject({
      embeddingScale: 8,
      attentionScale: 0.25,
      normOffset: 0,
      rope: { theta: 1e6, scaling: { type: "linear", factor: 8 } },
      localRope: { theta: 10_000, scaling: { type: "none" } },
    });
    // Of the published models only the 27B one, with 62 layers, scales by hiddenSize / numHeads.
    const big = await read({ ...least("gemma3"), "gemma3.block_count": u32(62), "gemma3.attention.key_length": u32(32) });
    expect(big.attentionScale).toBe(1 / Math.sqrt(16));
  });
  it("reads patterns of layers as a period or one by one", async () => {
    const window = { ...least("qwen3"), "qwen3.attention.sliding_window": u32(8) };
    expect((await read({ ...window, "qwen3.attention.sliding_window_pattern": u32(4) })).layerTypes.map((t) => t[0]).join("")).toBe(
      "sssfsssfsssf",
    );
    const value = Array.from({ length: 12 }, (_, i) => i === 3);
    const one = await read({ ...window, "qwen3.attention.sliding_window_pattern": { type: "array", of: "bool", value } });
    expect(one.layerTypes.indexOf("sliding")).toBe(3);
    expect((await read(window)).layerTypes).not.toContain("full");
  });
  it("rope_freqs.weight are divisors", async () => {
    const c = await read(least("llama"), { "rope_freqs.weight": Tensor.from("f32", [8], [1, 1, 1, 1, 2, 4, 8, 8]) });
    expect(c.rope?.scaling).toEqual({ type: "divisors", divisors: [1, 1, 1, 1, 2, 4, 8, 8] });
  });

  it.each<[string, Record<string, GgufValue>]>([
    ["general.architecture", { "general.architecture": string("mamba") }],
    ["general.architecture", {}],
    ["llama.block_count", { ...least("llama"), "llama.block_count": u32(0) }],
    ["llama.block_count", { ...least("llama"), "llama.block_count": u32(2 ** 31) }],
    ["llama.embedding_length", { ...least("llama"), "llama.embedding_length": f32(1.5) }],
    ["llama.attention.head_count_kv", { ...least("llama"), "llama.attention.head_count_kv": u32(3) }],
    ["llama.attention.key_length", { ...least("llama"), "llama.attention.head_count": u32(5) }],
    ["llama.attention.value_length", { ...least("llama"), "llama.attention.value_length": u32(8) }],
    ["llama.attention.layer_norm_rms_epsilon", { ...least("llama"), "llama.attention.layer_norm_rms_epsilon": f32(Number.NaN) }],
    ["llama.rope.scaling.type", { ...least("llama"), "llama.rope.scaling.type": string("longrope") }],
    ["llama.rope.dimension_count", { ...least("llama"), "llama.rope.dimension_count": u32(7) }],
    ["qwen3moe.expert_count", least("qwen3moe")],
  ])("an error names %s", async (field, values) => {
    const error: unknown = await read(values).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(ModelConfigError);
    expect(error).toMatchObject({ field, file: "m.gguf" });
  });

  it("of a damaged file gives typed errors only", async () => {
    const dir = await openDirectory(path("demo-model"));
    const good = await collect((sink) => convertToGguf(dir, sink, { type: "q4_0" }));
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.oneof(fc.nat(2000), fc.nat(90_000)), fc.nat(255)), { minLength: 1, maxLength: 8 }),
        async (edits) => {
          const bytes = good.slice();
          for (const [at, value] of edits) bytes[at] = value;
          try {
            using file = await openGguf(memorySource("m.gguf", bytes));
            await readGgufConfig(file);
            tokenizerFromGguf(file);
          } catch (error) {
            expect(error).toBeInstanceOf(RlxError);
          }
        },
      ),
      { numRuns: 200 },
    );
  });
});
