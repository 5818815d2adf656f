import {
  AttrError,
  countBelow,
  decodeKvVector,
  encodeKvVector,
  fwhtThenSign,
  hadamardSigns,
  type KvBits,
  type KvCodec,
  type KvCodecId,
  kvBits,
  kvCodec,
  kvCodecIds,
  kvHeadDims,
  Rng,
  ShapeError,
  signThenFwht,
  standardizeKvVector,
} from "@rlxjs/ir";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { lcgGaussians } from "./support/quantized.ts";
import { gaussians } from "./xoshiro.ts";

const codecs: KvCodec[] = kvCodecIds.flatMap((id) => kvHeadDims[id].flatMap((d) => kvBits.map((bits) => kvCodec(id, bits, d))));
const named = codecs.map((codec) => [`${codec.id} ${codec.bits} bits, headDim ${codec.headDim}`, codec] as const);
const anyCodec = fc.constantFrom(...codecs);
const at = (x: ArrayLike<number>, i: number): number => x[i] ?? Number.NaN;

interface Encoded {
  readonly packed: Uint8Array;
  readonly norms: Float32Array;
}
function encode(codec: KvCodec, x: Float32Array): Encoded {
  const out = { packed: new Uint8Array(codec.packedBytes).fill(0xa5), norms: new Float32Array(codec.norms).fill(9) };
  encodeKvVector(codec, x, out.packed, out.norms);
  return out;
}
function decode(codec: KvCodec, { packed, norms }: Encoded): Float32Array {
  const out = new Float32Array(codec.headDim);
  decodeKvVector(codec, packed, norms, out);
  return out;
}
/** Codes, read bit by bit. */
function codes(codec: KvCodec, packed: Uint8Array): number[] {
  const bit = (i: number): number => (at(packed, i >> 3) >> (i & 7)) & 1;
  const code = (j: number): number => {
    let sum = 0;
    for (let b = 0; b < codec.codeWidth; b++) sum += bit(j * codec.codeWidth + b) * 2 ** b;
    return sum;
  };
  return Array.from({ length: codec.headDim }, (_, j) => code(j));
}
/** N(0, 1) mean squared error of nearest-cell coding with these tables: the sum over cells, integrated by Simpson's rule. */
function theory(codec: KvCodec): number {
  const edges = [-9, ...codec.boundaries, 9];
  let sum = 0;
  for (const [i, c] of codec.centroids.entries()) {
    const [low, step] = [at(edges, i), (at(edges, i + 1) - at(edges, i)) / 200];
    for (let s = 0; s <= 200; s++) {
      const x = low + s * step;
      sum += ((s === 0 || s === 200 ? 1 : s % 2 === 1 ? 4 : 2) * step * (x - c) ** 2 * Math.exp((-x * x) / 2)) / 3 / Math.sqrt(2 * Math.PI);
    }
  }
  return Math.sqrt(sum);
}

describe("tables", () => {
  test.each(kvCodecIds.flatMap((id) => kvBits.map((bits) => [id, bits] as const)))("%s %i: antisymmetric, midpoints", (id, bits) => {
    const { centroids, boundaries } = kvCodec(id, bits, 256);
    expect([centroids.length, boundaries.length]).toEqual([2 ** bits, 2 ** bits - 1]);
    expect([...centroids].reverse()).toEqual(Array.from(centroids, (c) => -c));
    expect(at(boundaries, 2 ** (bits - 1) - 1)).toBe(0);
    for (const [i, b] of boundaries.entries()) {
      expect(at(centroids, i)).toBeLessThan(b);
      expect(b).toBeLessThan(at(centroids, i + 1));
      expect(Math.abs(b - (at(centroids, i) + at(centroids, i + 1)) / 2)).toBeLessThan(1e-6);
    }
  });

  test.each(kvBits)("lloyd-max-v2 %i: every centroid is the mean of its cell", (bits) => {
    const { centroids } = kvCodec("lloyd-max-v2", bits, 256);
    const edges = [-12, ...Array.from(centroids.slice(1), (c, i) => (c + at(centroids, i)) / 2), 12];
    for (const [i, c] of centroids.entries()) {
      const [low, n] = [at(edges, i), 2000];
      const step = (at(edges, i + 1) - low) / n;
      let [mass, moment] = [0, 0];
      for (let s = 0; s <= n; s++) {
        const x = low + s * step;
        const w = (s === 0 || s === n ? 1 : s % 2 === 1 ? 4 : 2) * Math.exp((-x * x) / 2);
        mass += w;
        moment += w * (x - c);
      }
      expect(Math.abs(moment / mass)).toBeLessThan(3e-7);
    }
  });

  test("errors of converged tables, and of mlx-native's", () => {
    const nrmse = (id: KvCodecId): string[] => kvBits.map((bits) => theory(kvCodec(id, bits, 256)).toFixed(5));
    expect(nrmse("lloyd-max-v2")).toEqual(["0.09747", "0.05005", "0.02538", "0.00642"]);
    expect(nrmse("mlx-native-v1")).toEqual(["0.09747", "0.05005", "0.02547", "0.00792"]);
  });
});

test("bytes of a vector", () => {
  const sizes = (id: KvCodecId, d: number): number[] => kvBits.map((bits) => kvCodec(id, bits, d).vectorBytes);
  expect(sizes("mlx-native-v1", 256)).toEqual([132, 260, 260, 260]);
  expect(sizes("mlx-native-v1", 512)).toEqual([264, 520, 520, 520]);
  expect(sizes("lloyd-max-v2", 16)).toEqual([12, 14, 16, 20]);
  expect(sizes("lloyd-max-v2", 24)).toEqual([16, 19, 22, 28]);
  expect(sizes("lloyd-max-v2", 48)).toEqual([28, 34, 40, 52]);
  expect(sizes("lloyd-max-v2", 64)).toEqual([36, 44, 52, 68]);
  expect(sizes("lloyd-max-v2", 80)).toEqual([44, 54, 64, 84]);
  expect(sizes("lloyd-max-v2", 96)).toEqual([52, 64, 76, 100]);
  expect(sizes("lloyd-max-v2", 128)).toEqual([68, 84, 100, 132]);
  expect(sizes("lloyd-max-v2", 384)).toEqual([200, 248, 296, 392]);
  expect(sizes("lloyd-max-v2", 512)).toEqual([264, 328, 392, 520]);
});

/** The same codec in f64, from the definition: signs, the matrix (-1)^popcount(i & j), norms by plain sums, boundaries one by one. */
function slow(codec: KvCodec, x: Float32Array): { values: number[]; norms: number[]; codes: number[] } {
  const n = codec.headDim;
  const signs = hadamardSigns(n);
  const parity = (v: number): number => (v === 0 ? 0 : (v & 1) ^ parity(v >> 1));
  const flipped = Array.from(x, (v, j) => (((at(signs, j >> 3) >> (j & 7)) & 1) === 1 ? -v : v));
  const rotated = flipped.map((_, i) => flipped.reduce((sum, v, j) => sum + (parity(i & j) ? -v : v), 0) / Math.sqrt(n));
  const size = n / codec.norms;
  const rms = Array.from({ length: codec.norms }, (_, b) =>
    Math.sqrt(rotated.slice(b * size, (b + 1) * size).reduce((sum, v) => sum + v * v, 0) / size),
  );
  const values = rotated.map((v, j) => v / at(rms, Math.floor(j / size)));
  const full = codec.id === "mlx-native-v1" && n === 256;
  return {
    values,
    norms: rms.map((r) => (full ? 16 * r : r)),
    codes: values.map((u) => codec.boundaries.filter((b) => u > b).length),
  };
}

describe("against an independent slow implementation", () => {
  const powers = codecs.filter(({ headDim }) => Number.isInteger(Math.log2(headDim)));
  test.each([
    [9999, gaussians],
    [424242, gaussians],
    [31337, gaussians],
    ...[0xc25eed, 0xcafe, 0xbabe, 0xdeadbeef, 0x12345678].map((seed) => [seed, lcgGaussians] as const),
  ] as const)("seed %i", (seed, normals) => {
    for (const codec of powers) {
      const x = normals(seed, codec.headDim);
      const expected = slow(codec, x);
      const got = encode(codec, x);
      for (const [b, norm] of expected.norms.entries()) expect(Math.abs(at(got.norms, b) / norm - 1)).toBeLessThan(5e-7);
      for (const [j, code] of codes(codec, got.packed).entries()) {
        const u = at(expected.values, j);
        const margin = Math.min(...codec.boundaries.map((b) => Math.abs(b - u)));
        // On a knife's edge f32 and f64 may fall to either side
        if (code !== at(expected.codes, j) && (margin > 3e-6 || Math.abs(code - at(expected.codes, j)) > 1))
          expect.fail(`${codec.id} ${j}`);
      }
    }
  });
});

describe("every codec", () => {
  test.each(named)("%s: round trip within 10 %% of theory, unit RMS", (_, codec) => {
    const rng = new Rng(7);
    let [error, energy] = [0, 0];
    for (let trial = 0; trial < 64; trial++) {
      const x = Float32Array.from(rng.normals(codec.headDim), (v) => v * 3);
      const back = decode(codec, encode(codec, x));
      fwhtThenSign(back);
      for (const [j, v] of x.entries()) {
        error += (v - at(back, j)) ** 2;
        energy += v * v;
      }
      const { values } = standardizeKvVector(codec, x);
      const size = codec.headDim / codec.norms;
      for (let b = 0; b < codec.norms; b++) {
        const rms = Math.sqrt(values.slice(b * size, (b + 1) * size).reduce((sum, v) => sum + v * v, 0) / size);
        expect(Math.abs(rms - 1)).toBeLessThan(1e-6);
      }
    }
    const ratio = Math.sqrt(error / energy) / theory(codec);
    expect(ratio).toBeGreaterThan(0.9);
    expect(ratio).toBeLessThan(1.1);
  });

  test.each(named)("%s: a zero vector has the codes below zero and norm 0", (_, codec) => {
    const got = encode(codec, new Float32Array(codec.headDim));
    expect(new Set(codes(codec, got.packed))).toEqual(new Set([2 ** (codec.bits - 1) - 1]));
    expect([...got.norms]).toEqual(new Array(codec.norms).fill(0));
    expect(decode(codec, got).every((v) => v === 0)).toBe(true);
  });

  test.each(named)("%s: NaN, infinities and overflow give norm NaN and codes 0", (_, codec) => {
    const poison = (change: (x: Float32Array) => void): Float32Array => {
      const x = gaussians(5, codec.headDim);
      change(x);
      return x;
    };
    for (const x of [
      poison((v) => v.fill(Number.NaN, 3, 4)),
      poison((v) => v.fill(Number.POSITIVE_INFINITY, 3, 4)),
      poison((v) => v.fill(Number.NEGATIVE_INFINITY, 1, 3)),
      poison((v) => v.fill(3e38)),
      poison((v) => v.fill(-1e30)), // finite when rotated, but not its squares
    ]) {
      const got = encode(codec, x);
      expect(new Set(new Uint32Array(got.norms.buffer))).toEqual(new Set([0x7fc00000]));
      expect(got.packed.every((b) => b === 0)).toBe(true);
      expect(decode(codec, got).every(Number.isNaN)).toBe(true);
    }
  });

  test.each(named)("%s: a centroid is coded as its own cell", (_, codec) => {
    for (const [i, c] of codec.centroids.entries()) expect(countBelow(codec.boundaries, c)).toBe(i);
  });

  test("codes do not change with a power-of-two scale; norms follow it", () => {
    fc.assert(
      fc.property(anyCodec, fc.nat(), fc.integer({ min: -20, max: 40 }), (codec, seed, exponent) => {
        const x = Float32Array.from(new Rng(seed).normals(codec.headDim));
        const [one, other] = [
          encode(codec, x),
          encode(
            codec,
            x.map((v) => v * 2 ** exponent),
          ),
        ];
        expect(other.packed).toEqual(one.packed);
        expect(other.norms).toEqual(one.norms.map((v) => v * 2 ** exponent));
      }),
    );
  });

  test("arbitrary floats: codes and norms are what the definition says, and nothing else is read", () => {
    const value = fc.oneof(fc.float(), fc.float({ min: -100, max: 100, noNaN: true }), fc.constantFrom(0, -0, 1e-12, Number.NaN));
    const input = anyCodec.chain((codec) =>
      fc.tuple(
        fc.constant(codec),
        fc.float32Array({ minLength: codec.headDim, maxLength: codec.headDim }),
        fc.array(value, { maxLength: 4 }),
      ),
    );
    fc.assert(
      fc.property(input, ([codec, base, some]) => {
        const x = base.slice();
        x.set(some.slice(0, x.length));
        const before = x.slice();
        const { values, norms } = standardizeKvVector(codec, x);
        const got = encode(codec, x);
        expect(got.norms).toEqual(norms);
        expect(codes(codec, got.packed)).toEqual(Array.from(values, (u) => codec.boundaries.filter((b) => u > b).length));
        const size = codec.headDim / codec.norms;
        const expected = Float32Array.from(
          codes(codec, got.packed),
          (code, j) => at(codec.centroids, code) * Math.fround(at(norms, Math.floor(j / size)) / codec.normScale),
        );
        expect(decode(codec, got)).toEqual(expected);
        expect(x).toEqual(before);
      }),
      { numRuns: 200 },
    );
  });
});

describe("the boundary rule", () => {
  test("a value on a boundary belongs below, the next one above; NaN to cell 0", () => {
    for (const { boundaries } of codecs) {
      for (const [i, b] of boundaries.entries()) {
        expect(countBelow(boundaries, b)).toBe(i);
        expect(countBelow(boundaries, b + Math.max(Math.abs(b), 1e-30) * 1e-7)).toBe(i + 1);
        expect(countBelow(boundaries, b - Math.max(Math.abs(b), 1e-30) * 1e-7)).toBe(i);
      }
      expect(countBelow(boundaries, -0)).toBe((boundaries.length - 1) / 2);
      expect(countBelow(boundaries, Number.NaN)).toBe(0);
      expect(countBelow(boundaries, Number.NEGATIVE_INFINITY)).toBe(0);
      expect(countBelow(boundaries, Number.POSITIVE_INFINITY)).toBe(boundaries.length);
    }
  });

  test("zero vectors as bytes: 0x77, and 15, 31, 127 where a code is a byte", () => {
    const first = (id: KvCodecId, bits: KvBits): number => at(encode(kvCodec(id, bits, 256), new Float32Array(256)).packed, 0);
    expect(kvBits.map((bits) => first("mlx-native-v1", bits))).toEqual([0x77, 15, 31, 127]);
  });

  test("a norm of 1e-10 is taken for zero, one above is not", () => {
    const codec = kvCodec("mlx-native-v1", 4, 256);
    const impulse = (v: number): Encoded =>
      encode(
        codec,
        Float32Array.from({ length: 256 }, (_, j) => (j === 0 ? v : 0)),
      );
    expect(new Set(impulse(9e-11).packed)).toEqual(new Set([0x77]));
    expect(at(impulse(9e-11).norms, 0)).toBeCloseTo(9e-11, 15);
    // The first sign is negative, so the rotated impulse is -1/16 everywhere: standardized -1, cell 4
    expect(new Set(codes(codec, impulse(2e-10).packed))).toEqual(new Set([4]));
  });
});

test("512 values: two blocks with an RMS each", () => {
  const codec = kvCodec("mlx-native-v1", 8, 512);
  const rotated = Float32Array.from(new Rng(3).normals(512), (v, j) => (j < 256 ? v : 40 * v));
  fwhtThenSign(rotated);
  const { norms } = encode(codec, rotated);
  expect(at(norms, 0)).toBeGreaterThan(0.85);
  expect(at(norms, 0)).toBeLessThan(1.15);
  expect(at(norms, 1) / 40).toBeGreaterThan(0.85);
  expect(at(norms, 1) / 40).toBeLessThan(1.15);
});

test.each(named)("%s: the bits of norms and standardized values", (_, codec) => {
  const f = Math.fround;
  const x = gaussians(77, codec.headDim);
  const { values, norms } = standardizeKvVector(codec, x);
  const rotated = x.slice();
  signThenFwht(rotated);
  const size = codec.headDim / codec.norms;
  const full = codec.id === "mlx-native-v1" && codec.headDim === 256;
  const lanes = full ? 32 : size % 16 === 0 ? 16 : 8;
  const tree = (sums: readonly number[]): number =>
    sums.length === 1 ? at(sums, 0) : f(tree(sums.slice(0, sums.length / 2)) + tree(sums.slice(sums.length / 2)));
  for (let b = 0; b < codec.norms; b++) {
    const block = rotated.slice(b * size, (b + 1) * size);
    const part = size / lanes;
    const sums = Array.from({ length: lanes }, (_, l) => block.slice(l * part, (l + 1) * part).reduce((sum, v) => f(sum + f(v * v)), 0));
    const norm = f(Math.sqrt(full ? tree(sums) : f(tree(sums) / size)));
    expect(at(norms, b)).toBe(norm);
    const gain = full ? f(f(1 / norm) * 16) : f(1 / norm);
    expect(values.slice(b * size, (b + 1) * size)).toEqual(block.map((v) => v * gain));
  }
});

test("5- and 6-bit codes are dense in v2, least significant bits first", () => {
  const x = gaussians(1, 64);
  for (const bits of [5, 6] as const) {
    const codec = kvCodec("lloyd-max-v2", bits, 64);
    const { packed } = encode(codec, x);
    let whole = 0n;
    for (const [i, byte] of packed.entries()) whole |= BigInt(byte) << BigInt(8 * i);
    const expected = Array.from(standardizeKvVector(codec, x).values, (u) => countBelow(codec.boundaries, u));
    expect(Array.from({ length: 64 }, (_, j) => Number((whole >> BigInt(j * bits)) & BigInt(2 ** bits - 1)))).toEqual(expected);
  }
});

test("bits above a code's own are ignored by mlx-native-v1", () => {
  const codec = kvCodec("mlx-native-v1", 5, 256);
  const got = encode(codec, gaussians(2, 256));
  expect(decode(codec, { ...got, packed: got.packed.map((b) => b | 0xe0) })).toEqual(decode(codec, got));
});

describe("errors", () => {
  test("what does not exist", () => {
    expect(() => kvCodec("mlx-native-v1", 4, 128)).toThrowErrorMatchingInlineSnapshot(
      `[AttrError: [kv_codec] headDim: expected one of 256, 512 for mlx-native-v1, got 128]`,
    );
    expect(() => kvCodec("lloyd-max-v2", 4, 100)).toThrowErrorMatchingInlineSnapshot(
      `[AttrError: [kv_codec] headDim: expected one of 16, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256, 320, 384, 512 for lloyd-max-v2, got 100]`,
    );
    const untyped = (v: unknown): never => v as never;
    expect(() => kvCodec("lloyd-max-v2", untyped(7), 64)).toThrowErrorMatchingInlineSnapshot(
      `[AttrError: [kv_codec] bits: expected one of 4, 5, 6, 8, got 7]`,
    );
    expect(() => kvCodec(untyped("v3"), 4, 64)).toThrowErrorMatchingInlineSnapshot(
      `[AttrError: [kv_codec] id: expected mlx-native-v1 or lloyd-max-v2, got v3]`,
    );
    expect(() => kvCodec("lloyd-max-v2", 4, Number.NaN)).toThrow(AttrError);
  });

  test("wrong lengths, before anything is written", () => {
    const codec = kvCodec("lloyd-max-v2", 5, 80);
    const x = gaussians(1, 80);
    const packed = new Uint8Array(50).fill(1);
    const norms = new Float32Array(1).fill(1);
    expect(() => encodeKvVector(codec, x.subarray(1), packed, norms)).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: [encode_kv_vector] x: expected 80 elements, got 79]`,
    );
    expect(() => encodeKvVector(codec, x, packed.subarray(1), norms)).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: [encode_kv_vector] packed: expected 50 elements, got 49]`,
    );
    expect(() => encodeKvVector(codec, x, packed, new Float32Array(2))).toThrow(ShapeError);
    expect(() => decodeKvVector(codec, packed, norms, new Float32Array(64))).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: [decode_kv_vector] out: expected 80 elements, got 64]`,
    );
    expect(() => standardizeKvVector(codec, new Float32Array(0))).toThrow(ShapeError);
    expect([...packed, ...norms]).toEqual(new Array(51).fill(1));
  });
});
