import { byteLength, dequantize, dtypes, f16ToNumber, numberToF16, quantize, RlxError, Rng, Tensor } from "@rlxjs/ir";
import fc from "fast-check";
import { describe, expect, test } from "vitest";

/** f16 bits, little-endian. */
const half = (v: number): number[] => [numberToF16(v) & 255, numberToF16(v) >> 8];

describe("decoding, block by block", () => {
  test("q8_0: every quant times the scale, exactly", () => {
    const q = Array.from({ length: 256 }, (_, i) => i - 128);
    const bytes = Uint8Array.from(Array.from({ length: 8 }, (_, b) => [...half(0.0625), ...q.slice(32 * b, 32 * b + 32)]).flat());
    expect(Array.from(dequantize("q8_0", bytes))).toEqual(q.map((v) => v * 0.0625));
  });

  test("q4_0: low nibbles first, then high ones, eight is zero", () => {
    const bytes = Uint8Array.from([...half(-2), ...Array.from({ length: 16 }, (_, i) => i | ((15 - i) << 4))]);
    const low = Array.from({ length: 16 }, (_, i) => -2 * (i - 8) + 0);
    const high = Array.from({ length: 16 }, (_, i) => -2 * (7 - i) + 0);
    expect(Array.from(dequantize("q4_0", bytes), (v) => v + 0)).toEqual([...low, ...high]);
  });

  test("q4_k: with d = dmin = 1, the first four scales 1 and nibbles 7", () => {
    const bytes = Uint8Array.from([...half(1), ...half(1), 1, 1, 1, 1, ...new Array(8).fill(0), ...new Array(128).fill(0x77)]);
    const out = Array.from(dequantize("q4_k", bytes));
    // scales of sub-blocks 0 to 3 are 1, the others 0; all minimums are 0
    expect(out).toEqual([...new Array(128).fill(7), ...new Array(128).fill(0)]);
  });

  test("q4_k: minimums, and the split 6-bit scales of sub-blocks 4 to 7", () => {
    // Byte j: low six bits of scale j, top two bits of scale j+4; byte j+4: likewise of minimums; byte j+8: low nibbles of both.
    const scales = [1, 2, 3, 4, 63, 17, 32, 48];
    const mins = [5, 6, 7, 8, 62, 33, 16, 1];
    const at = (list: number[], j: number) => list[j] ?? 0;
    const packed = [0, 1, 2, 3].flatMap((k) => [
      [at(scales, k) | ((at(scales, k + 4) >> 4) << 6)],
      [at(mins, k) | ((at(mins, k + 4) >> 4) << 6)],
      [(at(scales, k + 4) & 15) | ((at(mins, k + 4) & 15) << 4)],
    ]);
    const bytesOf = (part: number) => packed.filter((_, i) => i % 3 === part).flat();
    const nibbles = new Array(128).fill(0x93); // even sub-blocks 3, odd ones 9
    const bytes = Uint8Array.from([...half(0.5), ...half(0.25), ...bytesOf(0), ...bytesOf(1), ...bytesOf(2), ...nibbles]);
    const expected = scales.flatMap((s, j) => new Array<number>(32).fill(0.5 * s * (j % 2 === 0 ? 3 : 9) - 0.25 * at(mins, j)));
    expect(Array.from(dequantize("q4_k", bytes))).toEqual(expected);
  });

  test("q5_k: as q4_k, with the fifth bit of sub-block j in bit j", () => {
    const high = Array.from({ length: 32 }, (_, i) => i * 8); // bits 3 to 7 of byte i
    const bytes = Uint8Array.from([...half(1), ...half(1), 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1, ...high, ...new Array(128).fill(0x21)]);
    const expected = Array.from({ length: 256 }, (_, e) => {
      const [j, i] = [e >> 5, e & 31];
      return (j % 2 === 0 ? 1 : 2) + (((i * 8) >> j) & 1) * 16;
    });
    expect(Array.from(dequantize("q5_k", bytes))).toEqual(expected);
  });

  test("q6_k: quant 32 is zero everywhere", () => {
    const bytes = Uint8Array.from([...new Array(128).fill(0), ...new Array(64).fill(0b10101010), ...new Array(16).fill(5), ...half(1)]);
    expect(Array.from(dequantize("q6_k", bytes), (v) => v + 0)).toEqual(new Array(256).fill(0));
  });

  test("q6_k: signed scales of sixteen, quants from both bit planes", () => {
    const q = Array.from({ length: 256 }, (_, i) => (i * 37) % 64);
    const scales = Array.from({ length: 16 }, (_, i) => (i % 2 === 0 ? -1 : 1) * (i + 1));
    const low = new Uint8Array(128);
    const top = new Uint8Array(64);
    for (const [e, v] of q.entries()) {
      const [h, part, l] = [e >> 7, (e & 127) >> 5, e & 31];
      const byte = h * 64 + (part & 1) * 32 + l;
      low[byte] = (low[byte] ?? 0) | ((v & 15) << (part >> 1 ? 4 : 0));
      top[h * 32 + l] = (top[h * 32 + l] ?? 0) | ((v >> 4) << (2 * part));
    }
    const bytes = Uint8Array.from([...low, ...top, ...scales.map((s) => s & 255), ...half(0.25)]);
    expect(Array.from(dequantize("q6_k", bytes))).toEqual(q.map((v, e) => 0.25 * (scales[e >> 4] ?? 0) * (v - 32)));
  });

  test("rows of several blocks start where the row before ends", () => {
    const rows = 4;
    const q = (r: number, i: number) => ((r * 50 + i) % 255) - 127;
    const bytes = Uint8Array.from(
      Array.from({ length: rows * 8 }, (_, b) => [
        ...half(0.5),
        ...Array.from({ length: 32 }, (_, i) => q(b >> 3, (b & 7) * 32 + i)),
      ]).flat(),
    );
    const t = Tensor.fromBytes("q8_0", [rows, 256], bytes);
    expect(t.toArray()).toEqual(Array.from({ length: rows * 256 }, (_, e) => q(e >> 8, e & 255) * 0.5));
  });
});

describe("quantizing", () => {
  test("q8_0 is off by half a step at most, q4_0 by one, and the extremes are kept", () => {
    const values = fc.array(fc.float({ min: -100, max: 100, noNaN: true }), { minLength: 32, maxLength: 32 });
    fc.assert(
      fc.property(values, (list) => {
        const x = Float32Array.from(list);
        const peak = Math.max(...x.map(Math.abs));
        const error = (dtype: "q8_0" | "q4_0") =>
          Math.max(...dequantize(dtype, quantize(dtype, x)).map((v, i) => Math.abs(v - (x[i] ?? 0))));
        const slack = peak * 2 ** -9 + 2 ** -17; // the scale itself is rounded to f16
        expect(error("q8_0")).toBeLessThanOrEqual(peak / 254 + slack);
        expect(error("q4_0")).toBeLessThanOrEqual(peak / 8 + slack);
      }),
    );
  });

  test("what a format can hold survives", () => {
    const rng = new Rng(1);
    const q8 = Float32Array.from({ length: 64 }, (_, i) => (i % 32 === 0 ? 127 : rng.int(-127, 127)) * 0.125);
    expect(dequantize("q8_0", quantize("q8_0", q8))).toEqual(q8);
    const q4 = Float32Array.from({ length: 64 }, (_, i) => (i % 32 === 0 ? -8 : rng.int(-7, 7)) * 0.5);
    expect(dequantize("q4_0", quantize("q4_0", q4))).toEqual(q4);
    expect(Array.from(dequantize("q4_0", quantize("q4_0", new Float32Array(32))), (v) => v + 0)).toEqual(new Array(32).fill(0));
  });

  test("ties round away from zero, as ggml does", () => {
    const x = new Float32Array(32);
    x.set([127, 0.5, -0.5, 1.5, -2.5]);
    expect(Array.from(dequantize("q8_0", quantize("q8_0", x)).subarray(0, 5))).toEqual([127, 1, -1, 2, -3]);
    expect(f16ToNumber((quantize("q8_0", x)[0] ?? 0) | ((quantize("q8_0", x)[1] ?? 0) << 8))).toBe(1);
  });

  test("a q8_0 block with a NaN or an infinity reads as NaN, its neighbours do not", () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      const x = new Float32Array(96).fill(127);
      x[40] = bad;
      const bytes = quantize("q8_0", x);
      expect(Array.from(bytes.subarray(34, 68))).toEqual([0x00, 0x7e, ...new Array(32).fill(0)]);
      const out = dequantize("q8_0", bytes);
      expect(out.map((v, i) => (i >> 5 === 1 ? Number(Number.isNaN(v)) : v))).toEqual(new Float32Array(96).fill(127).fill(1, 32, 64));
    }
  });

  test("a q8_0 block of numbers that are too small for a scale is zero", () => {
    for (const tiny of [2 ** -149, 2 ** -130, -(2 ** -125)])
      expect(quantize("q8_0", new Float32Array(32).fill(tiny)).subarray(0, 2)).toEqual(new Uint8Array(2));
  });

  test("errors", () => {
    expect(() => quantize("q8_0", new Float32Array(33))).toThrowErrorMatchingInlineSnapshot(
      `[RlxError: q8_0: expected a multiple of 32 values, got 33]`,
    );
    expect(() => quantize("q4_k", new Float32Array(256))).toThrowErrorMatchingInlineSnapshot(
      `[RlxError: q4_k: expected q8_0 or q4_0, other block formats are read only]`,
    );
    expect(() => Tensor.zeros("q8_0", [2, 33])).toThrow(RlxError);
  });
});

test("bytes of a dtype", () => {
  expect(byteLength("q8_0", [3, 64])).toBe(3 * 2 * 34);
  expect(byteLength("q6_k", [256])).toBe(210);
  expect(byteLength("bf16", [])).toBe(2);
  expect(byteLength("f32", [0, 7])).toBe(0);
  for (const { blockSize, blockBytes } of Object.values(dtypes)) expect(blockBytes * 8).toBeGreaterThanOrEqual(blockSize);
});
