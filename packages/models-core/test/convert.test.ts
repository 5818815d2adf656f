import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Tensor } from "@rlxjs/ir";
import { afterAll, describe, expect, it } from "vitest";
import {
  type ByteSink,
  canonicalCheckpoint,
  type Checkpoint,
  convertToGguf,
  convertTypes,
  type GgufCheckpoint,
  ggufName,
  hfName,
  type JsonObject,
  type ModelConfig,
  ModelConfigError,
  ModelFileError,
  memoryDirectory,
  memorySource,
  openGguf,
  openSafetensorsDirectory,
  readGgufConfig,
  readHfConfig,
  readJsonFile,
  ropeFrequencies,
  writeSafetensors,
} from "../src/index.ts";
import { convertDirectory } from "../src/node/convert.ts";
import { openDirectory } from "../src/node/files.ts";
import { collect, goldenModels, json, path } from "./fixtures.ts";

const scratch = mkdtempSync(join(tmpdir(), "rlxjs-convert-"));
afterAll(() => rmSync(scratch, { recursive: true }));

const utf8 = (value: JsonObject): Uint8Array<ArrayBuffer> => Uint8Array.from(Buffer.from(JSON.stringify(value)));

/** The same model from both kinds of file, under the same names. */
async function both(name: string): Promise<{ hf: Checkpoint; gguf: Checkpoint; config: ModelConfig; ggufConfig: ModelConfig }> {
  const dir = await openDirectory(path(name));
  const stored = await open(await collect((sink) => convertToGguf(dir, sink, { type: "f32" })));
  const config = readHfConfig((await readJsonFile(dir, "config.json")) ?? {}, await readJsonFile(dir, "generation_config.json"));
  const ggufConfig = await readGgufConfig(stored);
  return {
    hf: canonicalCheckpoint(await openSafetensorsDirectory(dir), config),
    gguf: canonicalCheckpoint(stored, ggufConfig),
    config,
    ggufConfig,
  };
}
const open = (bytes: Uint8Array<ArrayBuffer>): Promise<GgufCheckpoint> => openGguf(memorySource("m.gguf", bytes));

describe("names", () => {
  it.each(goldenModels)("of %s map to GGUF and back", async (model) => {
    const dir = await openDirectory(path(`hf-models/${model}`));
    const { architecture } = readHfConfig((await readJsonFile(dir, "config.json")) ?? {});
    using c = await openSafetensorsDirectory(dir);
    for (const name of c.names().filter((n) => !n.startsWith("pooler."))) {
      const gguf = ggufName(architecture, name);
      expect(gguf, name).toBeDefined();
      expect(hfName(architecture, gguf?.name ?? "")).toBe(name.replace(/experts\.\d+/, "experts"));
    }
  });
  it("wrappers' prefixes and old spellings mean the same", () => {
    const name = "blk.11.attn_q.weight";
    for (const prefix of ["model.", "", "language_model.model.", "model.language_model."])
      expect(ggufName("gemma3", `${prefix}layers.11.self_attn.q_proj.weight`)?.name).toBe(name);
    expect(ggufName("bert", "bert.embeddings.LayerNorm.gamma")?.name).toBe("token_embd_norm.weight");
    expect(ggufName("llama", "model.layers.0.self_attn.rotary_emb.inv_freq")).toBeUndefined();
    expect(ggufName("llama", "model.layers.0.self_attn.q_norm.weight")).toBeUndefined();
    expect(ggufName("qwen3moe", "model.layers.3.mlp.experts.17.up_proj.weight")).toEqual({ name: "blk.3.ffn_up_exps.weight", expert: 17 });
  });
});

describe("conversion to GGUF", () => {
  it.each(goldenModels)("of %s keeps settings and values", async (model) => {
    const { hf, gguf, config, ggufConfig } = await both(`hf-models/${model}`);
    using _hf = hf;
    using _gguf = gguf;
    const interleaved = config.architecture === "llama";
    const f32 = (v: number): number => Math.fround(v);
    expect(ggufConfig).toEqual({
      ...config,
      naming: "gguf",
      normOffset: 0,
      normEps: f32(config.normEps),
      attentionScale: config.architecture === "gemma3" ? f32(config.attentionScale) : config.attentionScale,
      rope: config.rope && { ...config.rope, interleaved },
    });
    for (const name of gguf.names()) {
      const got = await gguf.tensor(name);
      const want = await original(hf, name, config);
      expect(got.shape, name).toEqual(want.shape);
      expect(got.toArray(), name).toEqual(want.toArray());
    }
    expect(gguf.unused()).toEqual([]);
    expect(hf.unused().filter((n) => !n.startsWith("pooler."))).toEqual([]);
  });

  it("of llama3 scaling gives the same frequencies, as divisors", async () => {
    const dir = await llamaWith({
      rope_parameters: {
        rope_theta: 500_000,
        rope_type: "llama3",
        factor: 8,
        low_freq_factor: 1,
        high_freq_factor: 4,
        original_max_position_embeddings: 64,
      },
    });
    const config = readHfConfig((await readJsonFile(dir, "config.json")) ?? {});
    const read = await readGgufConfig(await open(await collect((sink) => convertToGguf(dir, sink, { type: "f32" }))));
    expect(read.rope?.scaling.type).toBe("divisors");
    if (!config.rope || !read.rope) throw new Error("expected a rope in both");
    const want = ropeFrequencies(config.rope).invFreq;
    ropeFrequencies(read.rope).invFreq.forEach((f, i) => {
      expect(f / (want[i] ?? 0)).toBeCloseTo(1, 6);
    });
  });
  it.each([
    { rope_type: "linear", factor: 4 },
    { rope_type: "yarn", factor: 4, original_max_position_embeddings: 64 },
    { rope_type: "yarn", factor: 4, original_max_position_embeddings: 64, attention_factor: 1.5, beta_fast: 16, beta_slow: 2 },
  ])("of $rope_type scaling gives the same frequencies", async (parameters) => {
    const dir = await llamaWith({ rope_parameters: { rope_theta: 10_000, ...parameters } });
    const config = readHfConfig((await readJsonFile(dir, "config.json")) ?? {});
    const read = await readGgufConfig(await open(await collect((sink) => convertToGguf(dir, sink, { type: "f32" }))));
    if (!config.rope || !read.rope) throw new Error("expected a rope in both");
    expect(ropeFrequencies(read.rope).invFreq).toEqual(ropeFrequencies(config.rope).invFreq);
    expect(ropeFrequencies(read.rope).attentionFactor).toBeCloseTo(ropeFrequencies(config.rope).attentionFactor, 6);
  });

  it.each(convertTypes)("stores matrices as %s and vectors as f32", async (type) => {
    const dir = await openDirectory(path("demo-model"));
    using c = await open(await collect((sink) => convertToGguf(dir, sink, { type })));
    expect(c.info("blk.0.ffn_up.weight").dtype).toBe(type);
    expect(c.info("token_embd.weight").dtype).toBe(type);
    expect(c.info("blk.0.attn_norm.weight").dtype).toBe("f32");
  });
  it("stores rows that do not fill blocks as f16, and says so", async () => {
    const dir = await openDirectory(path("hf-models/llama-gqa"));
    const notes: string[] = [];
    const convert = async (sink: ByteSink): Promise<void> => {
      notes.push(...(await convertToGguf(dir, sink, { type: "q8_0" })).notes);
    };
    using c = await open(await collect(convert));
    expect(c.info("blk.0.attn_q.weight").dtype).toBe("q8_0");
    expect(c.info("blk.0.ffn_down.weight").dtype).toBe("f16"); // rows of 176
    expect(notes).toContain("blk.0.ffn_down.weight has rows of 176, not a multiple of 32, and was stored as f16");
  });

  it("writes nothing of a model that cannot be converted", async () => {
    const cases: [JsonObject, new (...args: never[]) => Error][] = [
      [{ rope_parameters: { rope_type: "dynamic", factor: 2 } }, ModelConfigError],
      [{ rope_parameters: { partial_rotary_factor: 0.5 } }, ModelConfigError],
      [{ num_attention_heads: 64, num_key_value_heads: 64, head_dim: 2 }, ModelFileError],
    ];
    for (const [change, kind] of cases) {
      const written: Uint8Array[] = [];
      const sink = { write: async (b: Uint8Array) => void written.push(b) };
      await expect(convertToGguf(await llamaWith(change), sink, { type: "f32" })).rejects.toThrow(kind);
      expect(written).toEqual([]);
    }
  });
  it("leaves no file behind when it fails, and replaces one only when it is done", async () => {
    const out = join(scratch, "out.gguf");
    await expect(convertDirectory(join(scratch, "no such model"), out, { type: "f16" })).rejects.toThrow(ModelFileError);
    await expect(convertDirectory(scratch, out, { type: "f16" })).rejects.toThrow(ModelFileError);
    expect(readdirSync(scratch)).toEqual([]);
    const report = await convertDirectory(path("hf-models/llama-gqa"), out, { type: "f16" });
    expect(readdirSync(scratch)).toEqual(["out.gguf"]);
    expect(readFileSync(out).byteLength).toBe(report.bytes);
    await expect(convertDirectory(path("hf-models/llama-gqa"), join(scratch, "no", "such"), { type: "f16" })).rejects.toThrow(
      ModelFileError,
    );
  });
  it("made the demo model that is in the repository", async () => {
    const dir = await openDirectory(path("demo-model"));
    const made = await collect((sink) => convertToGguf(dir, sink, { type: "q8_0", name: "Tales 5.6M" }));
    expect(Buffer.from(made).equals(readFileSync(new URL("../../../models/tales-5.6m-q8_0.gguf", import.meta.url)))).toBe(true);
  });
});

/** The tensor that a GGUF tensor was made of, transformed as the format wants it: written out element by element. */
async function original(hf: Checkpoint, name: string, config: ModelConfig): Promise<Tensor> {
  if (/experts\.(gate|up|down)_proj/.test(name)) {
    const parts: Tensor[] = [];
    for (let e = 0; e < (config.moe?.numExperts ?? 0); e++) parts.push(await hf.tensor(name.replace("experts.", `experts.${e}.`)));
    return Tensor.from(
      "f32",
      [parts.length, ...(parts[0]?.shape ?? [])],
      parts.flatMap((p) => p.toArray()),
    );
  }
  const t = await hf.tensor(name);
  const values = t.toArray();
  if (config.normOffset === 1 && name.endsWith("norm.weight"))
    return Tensor.from(
      "f32",
      t.shape,
      values.map((v) => v + 1),
    );
  if (config.architecture !== "llama" || !/[qk]_proj\.weight$/.test(name)) return t;
  const [rows = 0, columns = 0] = t.shape;
  const half = config.headDim / 2;
  const out = values.slice();
  for (let r = 0; r < rows; r++) {
    const inHead = r % config.headDim;
    // Rows 2i and 2i + 1 of a head are its rows i and i + half.
    const from = r - inHead + (inHead >> 1) + (inHead & 1) * half;
    for (let c = 0; c < columns; c++) out[r * columns + c] = values[from * columns + c] ?? 0;
  }
  return Tensor.from("f32", t.shape, out);
}

/** The small llama with other settings. */
async function llamaWith(change: JsonObject) {
  const config = { ...json("hf-models/llama-gqa/config.json"), ...change };
  using weights = await openSafetensorsDirectory(await openDirectory(path("hf-models/llama-gqa")));
  const tensors = new Map<string, Tensor>();
  for (const name of weights.names()) tensors.set(name, await weights.tensor(name));
  return memoryDirectory(
    "llama",
    new Map([
      ["config.json", utf8(config)],
      ["model.safetensors", await collect((sink) => writeSafetensors(sink, tensors))],
    ]),
  );
}
