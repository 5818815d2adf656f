import { sha256 } from "@noble/hashes/sha2.js";
import { Tensor } from "@rlxjs/ir";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodePromptCache, encodePromptCache, PromptCache, PromptCacheError } from "../../src/prompt-cache/index.ts";
import { entryOf } from "./entry.ts";

const bytesOf = async (cache: PromptCache): Promise<Uint8Array<ArrayBuffer>> => {
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  for await (const piece of encodePromptCache(cache)) pieces.push(piece);
  const out = new Uint8Array(pieces.reduce((n, p) => n + p.byteLength, 0));
  let at = 0;
  for (const piece of pieces) {
    out.set(piece, at);
    at += piece.byteLength;
  }
  return out;
};
/** The bytes, which are less than a block, with a checksum that fits them. */
const signed = (bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> => {
  bytes.set(sha256(sha256(bytes.subarray(0, -32))), bytes.byteLength - 32);
  return bytes;
};
/** A file with this header and so many bytes of data. */
const file = (header: unknown, data = 64): Uint8Array<ArrayBuffer> => {
  const json = new TextEncoder().encode(JSON.stringify(header));
  const out = new Uint8Array(Math.ceil((16 + json.byteLength) / 8) * 8 + data + 32);
  new Uint32Array(out.buffer, 0, 3).set([0x50584c52, 1, json.byteLength]);
  out.set(json, 16);
  return signed(out);
};
const example = (): PromptCache => {
  const cache = new PromptCache({ fingerprint: "sha256:abc" });
  cache.insert(entryOf([1, 2, 3], { width: 5, mark: 7 }));
  const wide = new Tensor("f16", [1, 2, 1, 3], Uint16Array.of(1, 2, 3, 4, 5, 6));
  cache.insert({
    snapshot: {
      tokens: [70000],
      rows: new Map([
        ["past_k_0", wide],
        ["__proto__", Tensor.zeros("q8_0", [1, 64])],
      ]),
      bytes: 12 + 68,
    },
    logits: Float32Array.of(Number.NaN, -1, Number.NEGATIVE_INFINITY),
  });
  return cache;
};

test("a cache from its bytes is the same", async () => {
  const cache = example();
  const read = await decodePromptCache(await bytesOf(cache), { fingerprint: "sha256:abc" });
  expect(read.entries).toEqual(cache.entries);
  expect([read.fingerprint, read.bytes]).toEqual([cache.fingerprint, cache.bytes]);
  expect(await bytesOf(read)).toEqual(await bytesOf(cache));
  expect((await decodePromptCache(await bytesOf(new PromptCache()))).entries).toEqual([]);
});

test("the least recently used entries are left out where they do not fit", async () => {
  const cache = example();
  const read = await decodePromptCache(await bytesOf(cache), { maxBytes: cache.bytes - 1 });
  expect(read.entries).toEqual(cache.entries.slice(1));
});

test("entries of another model are refused", async () => {
  await expect(decodePromptCache(await bytesOf(example()), { fingerprint: "sha256:other" })).rejects.toThrowErrorMatchingInlineSnapshot(
    `[PromptCacheError: prompt cache: expected the entries of the model sha256:other (its weights, config, cache formats and kernels), got those of sha256:abc]`,
  );
});

describe("hostile bytes", () => {
  test("every flipped byte and every cut is an error", async () => {
    const good = await bytesOf(example());
    for (let i = 0; i < good.byteLength; i++) {
      const bad = good.slice();
      bad[i] = (bad[i] ?? 0) ^ 0x11;
      await expect(decodePromptCache(bad)).rejects.toThrow(PromptCacheError);
      await expect(decodePromptCache(good.slice(0, i))).rejects.toThrow(PromptCacheError);
    }
    await expect(decodePromptCache(new Uint8Array([...good, 0]))).rejects.toThrow(PromptCacheError);
  });

  test("changed bytes with a right checksum give an error or a sound cache", async () => {
    const good = await bytesOf(example());
    const change = fc.record({ at: fc.nat(good.byteLength - 33), to: fc.nat(255) });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 6 }), async (changes) => {
        const bad = good.slice();
        for (const { at, to } of changes) bad[at] = to;
        try {
          const cache = await decodePromptCache(signed(bad));
          expect(cache.entries.every(({ snapshot }) => snapshot.tokens.length > 0)).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(PromptCacheError);
        }
      }),
      { numRuns: 2000 },
    );
  });

  const row = (change: object) => ({ entries: [{ tokens: 1, vocab: 1, rows: [{ name: "k", dtype: "u8", shape: [8], ...change }] }] });
  test.each<[string, unknown]>([
    ["no object", 3],
    ["no entries", {}],
    ["an unknown field", { entries: [], more: 1 }],
    ["an entry without tokens", { entries: [{ tokens: 0, vocab: 1, rows: [] }] }],
    ["half a token", { entries: [{ tokens: 0.5, vocab: 1, rows: [] }] }],
    ["more tokens than bytes", { entries: [{ tokens: 2 ** 50, vocab: 1, rows: [] }] }],
    ["an unknown dtype", row({ dtype: "toString" })],
    ["a negative extent", row({ shape: [-1] })],
    ["extents whose product is not exact", row({ shape: [2 ** 40, 2 ** 40, 0] })],
    ["extents beyond the bytes", row({ shape: [2 ** 20, 2 ** 20] })],
    ["half a block", row({ dtype: "q8_0", shape: [16] })],
    ["data that nobody owns", { entries: [] }],
  ])("%s", async (_, header) => {
    await expect(decodePromptCache(file(header))).rejects.toThrow(PromptCacheError);
  });

  test("a state that is there twice", async () => {
    const twice = { name: "k", dtype: "u8", shape: [8] };
    await expect(
      decodePromptCache(file({ entries: [{ tokens: 1, vocab: 1, rows: [twice, twice] }] }, 32)),
    ).rejects.toThrowErrorMatchingInlineSnapshot(`[PromptCacheError: prompt cache: entry: state "k" is there twice]`);
  });
  test("what is wrong is said", async () => {
    await expect(decodePromptCache(file(row({ shape: [80] })))).rejects.toThrowErrorMatchingInlineSnapshot(
      `[PromptCacheError: prompt cache: state "k": expected at most the 48 bytes that are left, got u8[80]]`,
    );
    await expect(decodePromptCache(new Uint8Array(64))).rejects.toThrowErrorMatchingInlineSnapshot(
      `[PromptCacheError: prompt cache: expected bytes that begin with "RLXP", got others]`,
    );
    const other = await bytesOf(example());
    other[4] = 9;
    await expect(decodePromptCache(other)).rejects.toThrowErrorMatchingInlineSnapshot(
      `[PromptCacheError: prompt cache: expected version 1, got 9]`,
    );
  });
});
