import { Tensor } from "@rlxjs/ir";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  memoryDirectory,
  memorySource,
  ModelFileError,
  openSafetensors,
  openSafetensorsDirectory,
  writeSafetensors,
} from "../src/index.ts";
import { openDirectory } from "../src/node/files.ts";
import { collect, goldenModels, path, reads } from "./fixtures.ts";

/** A file with this header and so many bytes of data. */
function file(header: unknown, dataBytes = 0): Uint8Array<ArrayBuffer> {
  const json = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const out = new Uint8Array(8 + json.length + dataBytes);
  new DataView(out.buffer).setBigUint64(0, BigInt(json.length), true);
  out.set(json, 8);
  return out;
}
const open = (bytes: Uint8Array<ArrayBuffer>) => openSafetensors(memorySource("m.safetensors", bytes));
const f32 = (shape: number[], begin: number, end: number) => ({ dtype: "F32", shape, data_offsets: [begin, end] });

const sample = new Map([
  ["a", Tensor.from("f32", [2, 3], [1, -2, 3.5, Number.NaN, Number.POSITIVE_INFINITY, 0])],
  ["half", Tensor.from("f16", [3], [1, 65504, -0.5])],
  ["brain", Tensor.from("bf16", [1, 2], [1, -3e38])],
  ["double", Tensor.from("f64", [1], [Math.PI])],
  ["long", Tensor.from("i64", [2], [2n ** 63n - 1n, -(2n ** 63n)])],
  ["small", Tensor.from("i8", [2], [-128, 127])],
  ["flags", Tensor.from("bool", [3], [1, 0, 1])],
  ["empty", Tensor.from("u8", [0, 7], [])],
  ["scalar", Tensor.from("i32", [], [7])],
  ["__proto__", Tensor.from("u32", [1], [2 ** 32 - 1])],
]);

describe("safetensors", () => {
  it("reads what it writes, in the stored dtype", async () => {
    using c = await open(await collect((sink) => writeSafetensors(sink, sample, { format: "pt" })));
    expect(c.names()).toEqual([...sample.keys()]);
    for (const [name, t] of sample) {
      for (const read of [await c.tensor(name), c.tensorSync(name)]) {
        expect([read.dtype, read.shape]).toEqual([t.dtype, t.shape]);
        expect(read.bytes).toEqual(t.bytes);
      }
    }
    expect(c.unused()).toEqual([]);
    expect(({} as Record<string, unknown>).dtype).toBeUndefined();
  });

  it.each(goldenModels)("opens %s, from disk", async (name) => {
    using c = await openSafetensorsDirectory(await openDirectory(path(`hf-models/${name}`)));
    const [first = ""] = c.names();
    const t = await c.tensor(first);
    expect(t.dtype).toBe("f32");
    expect(c.mapped).toBe(false);
    expect(() => c.tensorSync(first)).toThrow(ModelFileError);
    expect(c.unused()).toEqual(c.names().slice(1));
  });

  it("reads only the header until a tensor is asked for", async () => {
    const bytes = file({ big: f32([1000], 0, 4000), small: f32([1], 4000, 4004) }, 4004);
    const { source, ranges } = reads(bytes);
    using c = await openSafetensors(source);
    const header = bytes.length - 4004;
    expect(Math.max(...ranges.map(([, end]) => end))).toBe(header);
    await c.tensor("small");
    expect(ranges.at(-1)).toEqual([bytes.length - 4, bytes.length]);
  });

  it("lists types that it cannot read and refuses only their use", async () => {
    using c = await open(file({ a: { dtype: "F8_E4M3", shape: [4], data_offsets: [0, 4] }, b: f32([1], 4, 8) }, 8));
    expect(c.info("a")).toMatchObject({ storedAs: "F8_E4M3", dtype: undefined });
    await expect(c.tensor("b")).resolves.toMatchObject({ dtype: "f32" });
    await expect(c.tensor("a")).rejects.toThrowErrorMatchingInlineSnapshot(
      `[ModelFileError: m.safetensors: "a": expected one of f32 f16 bf16 f64 i8 u8 i16 i32 u32 i64 bool q8_0 q4_0 q4_k q5_k q6_k, got the type F8_E4M3]`,
    );
    expect(() => c.info("c")).toThrowErrorMatchingInlineSnapshot(
      `[ModelFileError: m.safetensors: "c": expected a tensor of this name, got 2 others]`,
    );
  });

  it.each<[string, Uint8Array<ArrayBuffer>]>([
    ["no length", new Uint8Array(7)],
    ["a length bomb", Uint8Array.from([255, 255, 255, 255, 255, 255, 255, 127, 123, 125])],
    ["a header that is longer than the file", file("{}").subarray(0, 9)],
    ["no JSON", file("{]")],
    ["no object", file("[]")],
    ["bytes that are not UTF-8", Uint8Array.from([3, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0xff, 0x7d])],
    ["a name twice", file('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]}}', 1)],
    [
      "an escaped name twice",
      file('{"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]},"\\u0061":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}', 1),
    ],
    ["metadata of numbers", file({ __metadata__: { a: 1 } })],
    ["an unknown dtype", file({ a: { dtype: "F99", shape: [], data_offsets: [0, 4] } }, 4)],
    ["no dtype", file({ a: { shape: [], data_offsets: [0, 4] } }, 4)],
    ["a negative extent", file({ a: f32([-1], 0, 4) }, 4)],
    ["a fractional extent", file({ a: f32([0.5], 0, 2) }, 2)],
    ["an extent of null", file('{"a":{"dtype":"F32","shape":[null],"data_offsets":[0,4]}}', 4)],
    ["a product that overflows", file({ a: f32([2 ** 40, 2 ** 40], 0, 4) }, 4)],
    ["a size that does not fit the shape", file({ a: f32([2], 0, 4) }, 4)],
    ["one offset", file({ a: { dtype: "F32", shape: [1], data_offsets: [0] } }, 4)],
    ["offsets outside", file({ a: f32([1], 4, 8) }, 4)],
    ["offsets the wrong way around", file({ a: f32([1], 4, 0) }, 4)],
    ["overlapping tensors", file({ a: f32([2], 0, 8), b: f32([1], 4, 8) }, 8)],
    ["a hole", file({ a: f32([1], 0, 4), b: f32([1], 8, 12) }, 12)],
    ["a hole at the start", file({ a: f32([1], 4, 8) }, 8)],
    ["data that nobody owns", file({ a: f32([1], 0, 4) }, 5)],
    [
      "a thousand axes",
      file(
        {
          a: f32(
            Array.from({ length: 1000 }, () => 1),
            0,
            4,
          ),
        },
        4,
      ),
    ],
  ])("refuses %s", async (_what, bytes) => {
    await expect(open(bytes)).rejects.toThrow(ModelFileError);
  });

  it("says what is wrong and where", async () => {
    await expect(open(file({ "model.norm": f32([2], 0, 4) }, 4))).rejects.toThrowErrorMatchingInlineSnapshot(
      `[ModelFileError: m.safetensors: "model.norm": expected 8 bytes for F32 [2], got 4 bytes]`,
    );
    await expect(open(file({ a: f32([1], 0, 4), b: f32([1], 8, 12) }, 12))).rejects.toThrowErrorMatchingInlineSnapshot(
      `[ModelFileError: m.safetensors: "b": expected data from 4 on, where the tensor before it ends, got data from 8 on]`,
    );
  });

  it("survives any damage: a typed error, or tensors inside the file", async () => {
    const good = await collect((sink) => writeSafetensors(sink, sample));
    const header = Number(new DataView(good.buffer).getBigUint64(0, true)) + 8;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(header - 1), fc.nat(255)), { maxLength: 4 }),
        fc.option(fc.nat(good.length), { freq: 3 }),
        async (edits, cut) => {
          const bytes = good.slice(0, cut ?? good.length);
          for (const [at, value] of edits) if (at < bytes.length) bytes[at] = value;
          try {
            using c = await open(bytes);
            for (const name of c.names()) if (c.info(name).dtype) await c.tensor(name);
          } catch (error) {
            expect(error).toBeInstanceOf(ModelFileError);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe("sharded safetensors", () => {
  const shards = async (): Promise<Map<string, Uint8Array<ArrayBuffer>>> => {
    const shard = (name: string) => collect((sink) => writeSafetensors(sink, new Map([[name, Tensor.from("f32", [1], [name.length])]])));
    return new Map([
      ["model-00001-of-00002.safetensors", await shard("a")],
      ["model-00002-of-00002.safetensors", await shard("bb")],
    ]);
  };
  const index = (map: Record<string, unknown>): Uint8Array<ArrayBuffer> =>
    Uint8Array.from(Buffer.from(JSON.stringify({ weight_map: map })));
  const files = async (map: Record<string, unknown>) =>
    memoryDirectory("dir", new Map([...(await shards()), ["model.safetensors.index.json", index(map)]]));
  const good = { a: "model-00001-of-00002.safetensors", bb: "model-00002-of-00002.safetensors" };

  it("are one checkpoint", async () => {
    using c = await openSafetensorsDirectory(await files(good));
    expect(c.names()).toEqual(["a", "bb"]);
    expect((await c.tensor("bb")).toArray()).toEqual([2]);
    expect(c.unused()).toEqual(["a"]);
  });
  it.each<[string, Record<string, unknown>]>([
    ["a shard that is not there", { ...good, a: "model-00003-of-00002.safetensors" }],
    ["a path out of the directory", { ...good, a: "../model-00001-of-00002.safetensors" }],
    ["a shard that is no name", { ...good, a: 1 }],
    ["a tensor that is not in its shard", { ...good, c: "model-00002-of-00002.safetensors" }],
    ["a tensor that the index does not have", { bb: good.bb, c: good.a }],
    ["tensors in each other's shard", { a: good.bb, bb: good.a }],
  ])("refuse %s", async (_what, map) => {
    await expect(openSafetensorsDirectory(await files(map))).rejects.toThrow(ModelFileError);
  });
  it("and a directory without weights is an error", async () => {
    await expect(openSafetensorsDirectory(memoryDirectory("dir", new Map()))).rejects.toThrowErrorMatchingInlineSnapshot(
      `[ModelFileError: dir: expected model.safetensors or model.safetensors.index.json, got neither]`,
    );
  });
});
