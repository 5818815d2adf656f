import { type DType, Tensor } from "@rlxjs/ir";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type GgufTensorInput,
  type GgufValue,
  memoryDirectory,
  memorySource,
  ModelFileError,
  openGguf,
  openGgufIn,
  writeGguf,
} from "../src/index.ts";
import { collect, reads } from "./fixtures.ts";

const input = (name: string, t: Tensor): GgufTensorInput => ({ name, shape: t.shape, dtype: t.dtype, data: () => [t.bytes] });
const write = (values: Iterable<[string, GgufValue]>, tensors: readonly GgufTensorInput[] = []): Promise<Uint8Array<ArrayBuffer>> =>
  collect((sink) => writeGguf(sink, new Map(values), tensors));
const open = (bytes: Uint8Array<ArrayBuffer>) => openGguf(memorySource("m.gguf", bytes));

const wave = (n: number): number[] => Array.from({ length: n }, (_, i) => Math.sin(i) * 3);
const tensors: readonly [string, Tensor][] = [
  ["f32", Tensor.from("f32", [2, 3, 4], wave(24))],
  ["f16", Tensor.from("f16", [5], wave(5))],
  ["bf16", Tensor.from("bf16", [1, 3], wave(3))],
  ["f64", Tensor.from("f64", [3], wave(3))],
  ["i8", Tensor.from("i8", [3], [-128, 0, 127])],
  ["i16", Tensor.from("i16", [2], [-32768, 32767])],
  ["i32", Tensor.from("i32", [], [-7])],
  ["i64", Tensor.from("i64", [1], [-(2n ** 63n)])],
  ["q8_0", Tensor.from("q8_0", [3, 64], wave(192))],
  ["q4_0", Tensor.from("q4_0", [2, 32], wave(64))],
  ...(["q4_k", "q5_k", "q6_k"] as const).map((d): [string, Tensor] => [d, Tensor.zeros(d, [2, 256])]),
];
const metadata: readonly [string, GgufValue][] = [
  ["u8", { type: "u8", value: 255 }],
  ["i8", { type: "i8", value: -128 }],
  ["u16", { type: "u16", value: 65535 }],
  ["i16", { type: "i16", value: -32768 }],
  ["u32", { type: "u32", value: 2 ** 32 - 1 }],
  ["i32", { type: "i32", value: -(2 ** 31) }],
  ["f32", { type: "f32", value: 0.5 }],
  ["f64", { type: "f64", value: Math.PI }],
  ["bool", { type: "bool", value: true }],
  ["string", { type: "string", value: "naïve 🦊\0" }],
  ["u64 small", { type: "u64", value: 2 ** 53 - 1 }],
  ["u64", { type: "u64", value: 2n ** 64n - 1n }],
  ["i64", { type: "i64", value: -(2n ** 63n) }],
  ["numbers", { type: "array", of: "f32", value: Float32Array.of(1, -2) }],
  ["longs", { type: "array", of: "i64", value: BigInt64Array.of(2n ** 62n + 1n) }],
  ["strings", { type: "array", of: "string", value: ["", "a", "__proto__"] }],
  ["bools", { type: "array", of: "bool", value: [true, false] }],
  ["nested", { type: "array", of: "array", value: [{ type: "array", of: "u8", value: Uint8Array.of(1, 2) }] }],
  ["empty", { type: "array", of: "string", value: [] }],
  ["__proto__", { type: "string", value: "polluted?" }],
];

describe("GGUF", () => {
  it("reads what it writes: every dtype, every metadata type, 64 bits exact", async () => {
    using c = await open(
      await write(
        metadata,
        tensors.map(([name, t]) => input(name, t)),
      ),
    );
    expect(c.version).toBe(3);
    expect([...c.metadata.values]).toEqual(metadata);
    expect(c.names()).toEqual(tensors.map(([name]) => name));
    for (const [name, t] of tensors) {
      const read = await c.tensor(name);
      expect([read.dtype, read.shape]).toEqual([t.dtype, t.shape]);
      expect(read.bytes).toEqual(t.bytes);
      expect(c.tensorSync(name).bytes).toEqual(t.bytes);
    }
    expect(c.unused()).toEqual([]);
  });

  it("stores the innermost extent first and aligns data to 32 bytes", async () => {
    const bytes = await write([], [input("t", Tensor.from("f32", [2, 3], wave(6)))]);
    const v = new DataView(bytes.buffer);
    const dims = 24 + 8 + 1 + 4; // after counts, name and rank
    expect([v.getBigUint64(dims, true), v.getBigUint64(dims + 8, true)]).toEqual([3n, 2n]);
    expect(bytes.length % 32).toBe(0);
  });

  it("honours general.alignment", async () => {
    const t = Tensor.from("f32", [1], [5]);
    const bytes = await write([["general.alignment", { type: "u32", value: 128 }]], [input("a", t), input("b", t)]);
    expect(bytes.length % 128).toBe(0);
    using c = await open(bytes);
    expect((await c.tensor("b")).toArray()).toEqual([5]);
    await expect(write([["general.alignment", { type: "u32", value: 24 }]])).rejects.toThrow(ModelFileError);
  });

  it("reads version 2, refuses version 1, the other byte order and other files", async () => {
    const bytes = await write(metadata);
    const v = new DataView(bytes.buffer);
    v.setUint32(4, 2, true);
    using c = await open(bytes);
    expect(c.version).toBe(2);
    v.setUint32(4, 1, true);
    await expect(open(bytes)).rejects.toThrowErrorMatchingInlineSnapshot(
      `[ModelFileError: m.gguf: expected GGUF version 2 or 3, got version 1]`,
    );
    v.setUint32(4, 3, false);
    await expect(open(bytes)).rejects.toThrowErrorMatchingInlineSnapshot(
      `[ModelFileError: m.gguf: expected a little-endian file, got a big-endian one, version 3]`,
    );
    v.setUint32(0, 0, true);
    await expect(open(bytes)).rejects.toThrowErrorMatchingInlineSnapshot(
      `[ModelFileError: m.gguf: expected a GGUF file, got magic 0x00000000]`,
    );
  });

  it("reads a header that is longer than the first read, and only the header", async () => {
    const tokens = Array.from({ length: 200_000 }, (_, i) => `token ${i}`);
    const bytes = await write([["tokens", { type: "array", of: "string", value: tokens }]], [input("big", Tensor.zeros("f32", [2 ** 21]))]);
    const { source, ranges } = reads(bytes);
    using c = await openGguf(source);
    expect(c.metadata.strings("tokens")?.at(-1)).toBe("token 199999");
    expect(Math.max(...ranges.map(([, end]) => end))).toBeLessThan(2 ** 23);
    expect((await c.tensor("big")).size).toBe(2 ** 21);
  });

  it("lists types that it cannot read and refuses only their use", async () => {
    const bytes = await write([], [input("a", Tensor.zeros("q4_0", [32])), input("b", Tensor.zeros("f32", [1]))]);
    const type = 24 + 8 + 1 + 4 + 8;
    new DataView(bytes.buffer).setUint32(type, 20, true);
    using c = await open(bytes);
    expect(c.info("a")).toMatchObject({ storedAs: "IQ4_NL", dtype: undefined });
    expect((await c.tensor("b")).dtype).toBe("f32");
    await expect(c.tensor("a")).rejects.toThrow(/the type IQ4_NL/);
    new DataView(bytes.buffer).setUint32(type, 12345, true);
    using other = await open(bytes);
    await expect(other.tensor("a")).rejects.toThrow(/the type ggml type 12345/);
  });

  it("tells a getter's caller which type a key has", async () => {
    using c = await open(await write(metadata));
    expect(c.metadata.number("no such key")).toBeUndefined();
    expect(() => c.metadata.number("string")).toThrowErrorMatchingInlineSnapshot(
      `[ModelFileError: m.gguf: "string": expected a number below 2^53, got string "naïve 🦊\\u0000"]`,
    );
    expect(() => c.metadata.number("u64")).toThrowErrorMatchingInlineSnapshot(
      `[ModelFileError: m.gguf: "u64": expected a number below 2^53, got u64 18446744073709551615]`,
    );
    expect(() => c.metadata.strings("numbers")).toThrowErrorMatchingInlineSnapshot(
      `[ModelFileError: m.gguf: "numbers": expected an array of strings, got an array of 2 f32]`,
    );
    expect(() => c.metadata.numbers("longs")).toThrow(ModelFileError);
    expect(() => c.metadata.booleans("strings")).toThrow(ModelFileError);
  });
});

/** A file put together by hand. */
function raw(...parts: (number | bigint | string)[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(
    parts.flatMap((p) => {
      const b = Buffer.alloc(typeof p === "number" ? 4 : 8);
      if (typeof p === "number") b.writeUInt32LE(p);
      else b.writeBigUInt64LE(typeof p === "bigint" ? p : BigInt(Buffer.byteLength(p)));
      return typeof p === "string" ? [...b, ...Buffer.from(p)] : [...b];
    }),
  );
}
const head = (tensorCount: bigint, valueCount: bigint) => [0x46554747, 3, tensorCount, valueCount] as const;
const pad = (bytes: Uint8Array<ArrayBuffer>, n: number): Uint8Array<ArrayBuffer> => Uint8Array.from([...bytes, ...new Uint8Array(n)]);

describe("hostile GGUF", () => {
  it.each<[string, Uint8Array<ArrayBuffer>]>([
    ["nothing", new Uint8Array(0)],
    ["half a header", raw(0x46554747, 3, 1n)],
    ["2^64 - 1 tensors", raw(...head(2n ** 64n - 1n, 0n))],
    ["2^40 keys", pad(raw(...head(0n, 2n ** 40n)), 100)],
    ["a key that is longer than the file", pad(raw(...head(0n, 1n), 2n ** 50n), 100)],
    ["a string that is longer than the file", pad(raw(...head(0n, 1n), "k", 8, 2n ** 63n), 100)],
    ["an array of 2^61 u64", pad(raw(...head(0n, 1n), "k", 9, 10, 2n ** 61n), 100)],
    ["an array of 2^32 strings", pad(raw(...head(0n, 1n), "k", 9, 8, 2n ** 32n), 100)],
    ["arrays in arrays without end", pad(raw(...head(0n, 1n), "k", ...Array.from({ length: 8 }, () => [9, 9, 1n] as const).flat()), 100)],
    ["a hundred thousand empty arrays", pad(raw(...head(0n, 1n), "k", 9, 9, 100_000n), 1_200_000)],
    ["a value type that is not known", pad(raw(...head(0n, 1n), "k", 13, 0), 100)],
    ["a bool of 2", pad(raw(...head(0n, 1n), "k", 7, 2), 100)],
    ["a key twice", pad(raw(...head(0n, 2n), "k", 4, 1, "k", 4, 1), 100)],
    ["an alignment of 0", pad(raw(...head(0n, 1n), "general.alignment", 4, 0), 100)],
    ["an alignment of 3", pad(raw(...head(0n, 1n), "general.alignment", 4, 3), 100)],
    ["five axes", pad(raw(...head(1n, 0n), "t", 5, 1n, 1n, 1n, 1n, 1n, 0, 0n), 100)],
    ["an extent of 2^63", pad(raw(...head(1n, 0n), "t", 1, 2n ** 63n, 0, 0n), 100)],
    ["a product that overflows", pad(raw(...head(1n, 0n), "t", 2, 2n ** 32n, 2n ** 32n, 0, 0n), 100)],
    ["data past the end", pad(raw(...head(1n, 0n), "t", 1, 100n, 0, 0n), 64)],
    ["an offset past the end", pad(raw(...head(1n, 0n), "t", 1, 1n, 0, 2n ** 62n), 64)],
    ["an offset that is not aligned", pad(raw(...head(1n, 0n), "t", 1, 1n, 0, 4n), 64)],
    ["rows of half a block", pad(raw(...head(1n, 0n), "t", 1, 16n, 8, 0n), 64)],
    ["tensors on top of each other", pad(raw(...head(2n, 0n), "t", 1, 1n, 0, 0n, "u", 1, 1n, 0, 0n), 96)],
    ["a tensor twice", pad(raw(...head(2n, 0n), "t", 1, 1n, 0, 0n, "t", 1, 1n, 0, 32n), 96)],
  ])("is refused: %s", async (_what, bytes) => {
    await expect(open(bytes)).rejects.toThrow(ModelFileError);
  });

  it("of any kind gives a typed error, or tensors inside the file", async () => {
    const good = await write(
      metadata,
      tensors.map(([name, t]) => input(name, t)),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 4 }),
        fc.option(fc.nat(good.length), { freq: 3 }),
        fc.boolean(),
        async (edits, cut, mapped) => {
          const bytes = good.slice(0, cut ?? good.length);
          for (const [at, value] of edits) if (at < bytes.length) bytes[at] = value;
          try {
            using c = await (mapped ? open(bytes) : openGguf(reads(bytes).source));
            for (const name of c.names()) if (c.info(name).dtype) await c.tensor(name);
          } catch (error) {
            expect(error).toBeInstanceOf(ModelFileError);
          }
        },
      ),
      { numRuns: 1000 },
    );
  });
});

describe("split GGUF", () => {
  const part = (no: number, name: string, count = 2): Promise<Uint8Array<ArrayBuffer>> =>
    write(
      [
        ["split.no", { type: "u16", value: no }],
        ["split.count", { type: "u16", value: count }],
        ["split.tensors.count", { type: "i32", value: 2 }],
      ],
      [input(name, Tensor.from("f32", [1], [no]))],
    );
  const names = ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"] as const;
  const directory = async (first: Promise<Uint8Array<ArrayBuffer>>, second?: Promise<Uint8Array<ArrayBuffer>>) =>
    memoryDirectory("dir", new Map([[names[0], await first], ...(second ? [[names[1], await second] as const] : [])]));

  it.each(names)("is one checkpoint, by any part's name: %s", async (name) => {
    using c = await openGgufIn(await directory(part(0, "a"), part(1, "b")), name);
    expect(c.names()).toEqual(["a", "b"]);
    expect((await c.tensor("b")).toArray()).toEqual([1]);
  });
  it("is refused when a part is missing or not the one that its name says", async () => {
    await expect(openGgufIn(await directory(part(0, "a")), names[0])).rejects.toThrowErrorMatchingInlineSnapshot(
      `[ModelFileError: dir: expected the file m-00002-of-00002.gguf, got no such file]`,
    );
    await expect(openGgufIn(await directory(part(0, "a"), part(0, "b")), names[0])).rejects.toThrowErrorMatchingInlineSnapshot(
      `[ModelFileError: m-00002-of-00002.gguf: "split.no, split.count": expected part 1 of 2, as the file's name says, got part 0 of 2]`,
    );
    await expect(openGgufIn(await directory(part(0, "a"), part(1, "a")), names[0])).rejects.toThrow(ModelFileError);
    await expect(openGgufIn(await directory(part(0, "a", 3), part(1, "b", 3)), names[0])).rejects.toThrow(ModelFileError);
  });
});

describe("the GGUF writer", () => {
  const t = Tensor.zeros("f32", [2]);
  const big: DType = "u32";
  it.each<[string, GgufTensorInput[]]>([
    ["a dtype that GGUF does not have", [input("t", Tensor.zeros(big, [1]))]],
    ["five axes", [input("t", Tensor.zeros("f32", [1, 1, 1, 1, 1]))]],
    ["a tensor twice", [input("t", t), input("t", t)]],
    ["too little data", [{ ...input("t", t), data: () => [] }]],
    ["rows of half a block", [{ ...input("t", t), dtype: "q8_0" }]],
  ])("refuses %s", async (_what, inputs) => {
    await expect(write([], inputs)).rejects.toThrow(ModelFileError);
  });
});
