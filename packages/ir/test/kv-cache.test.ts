import {
  AttrError,
  allocQuantizedKv,
  decodeKvVector,
  dequantizeKv,
  encodeKvVector,
  fwhtThenSign,
  type KvCodec,
  kvBits,
  kvCodec,
  kvCodecIds,
  kvHeadDims,
  type QuantizedKv,
  quantizeKv,
  quantizeKvPair,
  Rng,
  RunError,
  ShapeError,
} from "@rlxjs/ir";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { gaussians } from "./xoshiro.ts";

const codecs = kvCodecIds.flatMap((id) => kvHeadDims[id].flatMap((d) => kvBits.map((bits) => kvCodec(id, bits, d))));
const small = kvCodec("lloyd-max-v2", 5, 64);
const normals = (n: number, seed: number): Float32Array => Float32Array.from(new Rng(seed).normals(n));

/** A cache inside bigger buffers, canaries before and after. */
function guarded(
  codec: KvCodec,
  numKvHeads: number,
  capacity: number,
  layout: "head" | "token",
): { cache: QuantizedKv; intact: () => boolean } {
  const vectors = numKvHeads * capacity;
  const bytes = new Uint8Array(vectors * codec.packedBytes + 32).fill(0xc5);
  const floats = new Float32Array(vectors * codec.norms + 8).fill(-77);
  const packed = bytes.subarray(16, bytes.length - 16).fill(0);
  const norms = floats.subarray(4, floats.length - 4).fill(0);
  const outside = <T>(all: readonly T[], edge: number): T[] => [...all.slice(0, edge), ...all.slice(all.length - edge)];
  const intact = () => outside([...bytes], 16).every((b) => b === 0xc5) && outside([...floats], 4).every((v) => v === -77);
  return { cache: { codec, layout, numKvHeads, capacity, packed, norms }, intact };
}

/** One vector of the cache's memory. */
function stored(cache: QuantizedKv, head: number, slot: number): { packed: Uint8Array; norms: Float32Array } {
  const at = cache.layout === "head" ? head * cache.capacity + slot : slot * cache.numKvHeads + head;
  const { packedBytes, norms } = cache.codec;
  return { packed: cache.packed.slice(at * packedBytes, (at + 1) * packedBytes), norms: cache.norms.slice(at * norms, (at + 1) * norms) };
}

describe("writing", () => {
  test.each([
    { seed: 1234, headDim: 256, numKvHeads: 2, capacity: 32, pos: 7, ring: false, slot: 7 },
    { seed: 5678, headDim: 512, numKvHeads: 8, capacity: 64, pos: 13, ring: true, slot: 13 },
    { seed: 9999, headDim: 256, numKvHeads: 2, capacity: 8, pos: 10, ring: true, slot: 2 },
  ])(
    "seed $seed, position $pos: slot $slot of every head, all others stay 0",
    ({ seed, headDim, numKvHeads, capacity, pos, ring, slot }) => {
      for (const bits of kvBits)
        for (const layout of ["head", "token"] as const) {
          const codec = kvCodec("mlx-native-v1", bits, headDim);
          const cache = allocQuantizedKv(codec, { numKvHeads, capacity, layout });
          const x = gaussians(seed, numKvHeads * headDim);
          quantizeKv(cache, x, { pos, ring });
          const expected = allocQuantizedKv(codec, { numKvHeads, capacity, layout });
          for (let head = 0; head < numKvHeads; head++) {
            const at = layout === "head" ? head * capacity + slot : slot * numKvHeads + head;
            const packed = expected.packed.subarray(at * codec.packedBytes, (at + 1) * codec.packedBytes);
            const norms = expected.norms.subarray(at * codec.norms, (at + 1) * codec.norms);
            encodeKvVector(codec, x.subarray(head * headDim, (head + 1) * headDim), packed, norms);
          }
          expect(Buffer.compare(cache.packed, expected.packed)).toBe(0);
          expect(cache.norms).toEqual(expected.norms);
        }
    },
  );

  test("any sequence of writes leaves what a plain list of vectors says", () => {
    const write = fc.record({
      pos: fc.nat({ max: 12 }),
      tokens: fc.nat({ max: 7 }),
      srcTokOffset: fc.nat({ max: 2 }),
      ring: fc.boolean(),
      trim: fc.boolean(),
      seed: fc.nat(),
    });
    const shape = fc.record({
      codec: fc.constantFrom(...codecs.filter(({ headDim }) => headDim < 512)),
      numKvHeads: fc.integer({ min: 1, max: 3 }),
      capacity: fc.integer({ min: 1, max: 5 }),
      layout: fc.constantFrom("head" as const, "token" as const),
    });
    fc.assert(
      fc.property(shape, fc.array(write, { maxLength: 6 }), ({ codec, numKvHeads, capacity, layout }, writes) => {
        const { cache, intact } = guarded(codec, numKvHeads, capacity, layout);
        const model = new Map<string, Float32Array>();
        for (const { seed, ...options } of writes) {
          const { pos, tokens, srcTokOffset, ring, trim } = options;
          const src = normals((srcTokOffset + tokens + 1) * numKvHeads * codec.headDim, seed);
          const fits = tokens === 0 || (ring ? trim || tokens <= capacity : pos + tokens <= capacity);
          if (!fits) {
            const before = [cache.packed.slice(), cache.norms.slice()];
            expect(() => quantizeKv(cache, src, options)).toThrow(RunError);
            expect([cache.packed, cache.norms]).toEqual(before);
            continue;
          }
          quantizeKv(cache, src, options);
          for (let t = 0; t < tokens; t++)
            for (let head = 0; head < numKvHeads; head++) {
              const at = ((srcTokOffset + t) * numKvHeads + head) * codec.headDim;
              model.set(`${head} ${(pos + t) % capacity}`, src.slice(at, at + codec.headDim));
            }
        }
        expect(intact()).toBe(true);
        for (let head = 0; head < numKvHeads; head++)
          for (let slot = 0; slot < capacity; slot++) {
            const expected = { packed: new Uint8Array(codec.packedBytes), norms: new Float32Array(codec.norms) };
            const x = model.get(`${head} ${slot}`);
            if (x) encodeKvVector(codec, x, expected.packed, expected.norms);
            expect(stored(cache, head, slot)).toEqual(expected);
          }
      }),
      { numRuns: 60 },
    );
  });

  test("a range is its tokens one by one, across the end of a ring", () => {
    const x = normals(3 * 2 * 64, 1);
    const [whole, single] = [0, 1].map(() => allocQuantizedKv(small, { numKvHeads: 2, capacity: 4 }));
    if (!whole || !single) throw new Error("two caches");
    quantizeKv(whole, x, { pos: 6, ring: true });
    for (let t = 0; t < 3; t++) quantizeKv(single, x, { pos: 6 + t, tokens: 1, srcTokOffset: t, ring: true });
    expect(whole).toEqual(single);
  });

  test("K and V together, each in its own format", () => {
    const sizes = { numKvHeads: 2, capacity: 4 };
    const [k, v] = [allocQuantizedKv(kvCodec("mlx-native-v1", 4, 256), sizes), allocQuantizedKv(kvCodec("lloyd-max-v2", 6, 256), sizes)];
    const src = { k: normals(1024, 1), v: normals(1024, 2) };
    quantizeKvPair({ k, v }, src, { pos: 1 });
    const [alone, other] = [allocQuantizedKv(k.codec, sizes), allocQuantizedKv(v.codec, sizes)];
    quantizeKv(alone, src.k, { pos: 1 });
    quantizeKv(other, src.v, { pos: 1 });
    expect([k, v]).toEqual([alone, other]);
    expect(() => quantizeKvPair({ k, v }, { k: src.v, v: src.v.subarray(1) }, { pos: 1, tokens: 2 })).toThrow(ShapeError);
    expect([k, v]).toEqual([alone, other]);
    expect(() => quantizeKvPair({ k, v: k }, src, { pos: 0 })).toThrowErrorMatchingInlineSnapshot(
      `[RunError: [quantize_kv_pair] cache: expected codes and norms in memory of their own, got overlapping ranges]`,
    );
  });
});

describe("reading", () => {
  test("rotated as stored, or plain, one position or a range, linear and ring", () => {
    const cache = allocQuantizedKv(small, { numKvHeads: 2, capacity: 4 });
    const x = normals(4 * 2 * 64, 3);
    quantizeKv(cache, x, { pos: 2, ring: true });
    const rotated = dequantizeKv(cache, { pos: 3, tokens: 2, ring: true });
    for (const [t, slot] of [3, 0].entries())
      for (let head = 0; head < 2; head++) {
        const { packed, norms } = stored(cache, head, slot);
        const expected = new Float32Array(64);
        decodeKvVector(small, packed, norms, expected);
        expect(rotated.slice((2 * t + head) * 64, (2 * t + head + 1) * 64)).toEqual(expected);
      }
    expect(dequantizeKv(cache, { pos: 0 })).toEqual(rotated.slice(128));
    const plain = dequantizeKv(cache, { pos: 3, tokens: 2, ring: true, domain: "plain" });
    fwhtThenSign(rotated, 64);
    expect(plain).toEqual(rotated);
    const source = x.slice(128, 384);
    const error = Math.sqrt(plain.reduce((sum, v, i) => sum + (v - (source[i] ?? 0)) ** 2, 0) / source.reduce((sum, v) => sum + v * v, 0));
    expect(error).toBeLessThan(0.06);
  });

  test("positions that are not there", () => {
    const cache = allocQuantizedKv(small, { numKvHeads: 1, capacity: 4 });
    expect(() => dequantizeKv(cache, { pos: 3, tokens: 2 })).toThrowErrorMatchingInlineSnapshot(
      `[RunError: [dequantize_kv] pos: expected positions up to capacity 4, got [3, 5)]`,
    );
    expect(() => dequantizeKv(cache, { pos: 0, tokens: 5, ring: true })).toThrowErrorMatchingInlineSnapshot(
      `[RunError: [dequantize_kv] tokens: expected at most the ring's capacity 4, got 5]`,
    );
    expect(() => dequantizeKv(cache, { pos: 0, tokens: 1e12 })).toThrow(RunError);
    expect(() => dequantizeKv(cache, { pos: -1 })).toThrow(AttrError);
    expect(dequantizeKv(cache, { pos: 9, tokens: 0 })).toEqual(new Float32Array(0));
  });
});

describe("errors leave the cache unchanged", () => {
  const cache = allocQuantizedKv(small, { numKvHeads: 2, capacity: 4 });
  const x = normals(3 * 2 * 64, 1);
  const fails = (f: () => void): string => {
    try {
      f();
    } catch (error) {
      expect(cache.packed.every((b) => b === 0) && cache.norms.every((v) => v === 0)).toBe(true);
      return String(error);
    }
    throw new Error("no error");
  };

  test("positions", () => {
    expect(fails(() => quantizeKv(cache, x, { pos: 2 }))).toMatchInlineSnapshot(
      `"RunError: [quantize_kv] pos: expected positions up to capacity 4, got [2, 5)"`,
    );
    expect(fails(() => quantizeKv(cache, x, { pos: -1, ring: true }))).toMatchInlineSnapshot(
      `"AttrError: [quantize_kv] pos: expected an integer of at least 0, got -1"`,
    );
    const long = normals(5 * 2 * 64, 1);
    expect(fails(() => quantizeKv(cache, long, { pos: 0, ring: true }))).toMatchInlineSnapshot(
      `"RunError: [quantize_kv] tokens: expected at most the ring's capacity 4, got 5"`,
    );
    const none = allocQuantizedKv(small, { numKvHeads: 2, capacity: 0 });
    expect(fails(() => quantizeKv(none, x, { pos: 0, ring: true, trim: true }))).toMatchInlineSnapshot(
      `"RunError: [quantize_kv] capacity: expected at least 1, got 0"`,
    );
  });

  test("lengths", () => {
    expect(fails(() => quantizeKv(cache, x, { pos: 0, tokens: 2, srcTokOffset: 2 }))).toMatchInlineSnapshot(
      `"ShapeError: [quantize_kv] src: expected at least 512 elements for 2 tokens, got 384"`,
    );
    expect(fails(() => quantizeKv(cache, x.subarray(1), { pos: 0 }))).toMatchInlineSnapshot(
      `"ShapeError: [quantize_kv] src: expected a multiple of numKvHeads * headDim = 128 elements, got 383"`,
    );
    expect(fails(() => quantizeKv({ ...cache, packed: cache.packed.subarray(1) }, x, { pos: 0 }))).toMatchInlineSnapshot(
      `"ShapeError: [quantize_kv] packed: expected 320 elements, got 319"`,
    );
    expect(fails(() => quantizeKv({ ...cache, norms: cache.norms.subarray(1) }, x, { pos: 0 }))).toMatchInlineSnapshot(
      `"ShapeError: [quantize_kv] norms: expected 8 elements, got 7"`,
    );
    expect(fails(() => quantizeKv({ ...cache, capacity: 2 ** 25 }, x, { pos: 0 }))).toMatchInlineSnapshot(
      `"ShapeError: [quantize_kv] cache: expected fewer than 2^32 elements, got 4294967296"`,
    );
    expect(() => allocQuantizedKv(small, { numKvHeads: 2, capacity: 2 ** 25 })).toThrow(ShapeError);
    expect(() => allocQuantizedKv(small, { numKvHeads: 1.5, capacity: 4 })).toThrow(AttrError);
  });

  test("overlap", () => {
    const memory = new ArrayBuffer(4096);
    const shared = { ...cache, packed: new Uint8Array(memory, 0, cache.packed.length) };
    expect(fails(() => quantizeKv(shared, new Float32Array(memory, cache.packed.length - 4, 128), { pos: 0 }))).toMatchInlineSnapshot(
      `"RunError: [quantize_kv] src: expected no overlap with the cache, got overlapping ranges"`,
    );
    expect(new Uint8Array(memory).every((b) => b === 0)).toBe(true);
    quantizeKv(shared, new Float32Array(memory, cache.packed.length, 128), { pos: 0 });
    expect(shared.packed[0]).toBe(0xef);
    cache.norms.fill(0);
  });

  test("nothing to write is no error", () => {
    quantizeKv(cache, new Float32Array(0), { pos: 99 });
    quantizeKv(cache, x, { pos: 99, tokens: 0 });
    quantizeKv(allocQuantizedKv(small, { numKvHeads: 0, capacity: 4 }), x, { pos: 0, tokens: 3 });
    expect(cache.norms.every((v) => v === 0)).toBe(true);
  });
});
