import { bf16ToNumber, f16ToNumber, numberToBf16, numberToF16, roundHalfEven } from "@rlxjs/ir";
import fc from "fast-check";
import { describe, expect, test } from "vitest";

const formats = [
  { name: "f16", decode: f16ToNumber, encode: numberToF16, exponentMask: 0x7c00, nan: 0x7e00, max: 65504, tiny: 2 ** -24 },
  {
    name: "bf16",
    decode: bf16ToNumber,
    encode: numberToBf16,
    exponentMask: 0x7f80,
    nan: 0x7fc0,
    max: 2 ** 127 * (2 - 2 ** -7),
    tiny: 2 ** -133,
  },
] as const;

describe.each(formats)("$name", ({ decode, encode, exponentMask, nan, max, tiny }) => {
  const isNaNBits = (h: number) => (h & 0x7fff) > exponentMask;

  test("all 65536 values round trip; NaNs become the quiet one", () => {
    const wrong: number[] = [];
    for (let h = 0; h < 0x10000; h++) {
      const v = decode(h);
      const expected = isNaNBits(h) ? nan : h;
      if (encode(v) !== expected || Number.isNaN(v) !== isNaNBits(h)) wrong.push(h);
    }
    expect(wrong).toEqual([]);
  });

  test("halfway between neighbours goes to the even one, anything beside it to the nearer", () => {
    const wrong: number[] = [];
    for (let h = 0; h + 1 < exponentMask; h++) {
      const [low, high] = [decode(h), decode(h + 1)];
      const middle = (low + high) / 2; // exact in a double
      const even = h % 2 === 0 ? h : h + 1;
      const ulp = Math.max(middle * 2 ** -40, 2 ** -170);
      if (encode(middle) !== even || encode(middle - ulp) !== h || encode(middle + ulp) !== h + 1) wrong.push(h);
      if (encode(-middle) !== (even | 0x8000)) wrong.push(-h);
    }
    expect(wrong).toEqual([]);
  });

  test("overflow, underflow, zeros and infinities", () => {
    const limit = max + (max - decode(exponentMask - 2)) / 2; // halfway to the next power of two
    expect(encode(max)).toBe(exponentMask - 1);
    expect(encode(limit)).toBe(exponentMask);
    expect(encode(limit * (1 - 2 ** -50))).toBe(exponentMask - 1);
    expect(encode(Number.POSITIVE_INFINITY)).toBe(exponentMask);
    expect(encode(Number.NEGATIVE_INFINITY)).toBe(exponentMask | 0x8000);
    expect(encode(tiny)).toBe(1);
    expect(encode(tiny / 2)).toBe(0);
    expect(encode(-tiny / 2)).toBe(0x8000);
    expect(encode(-0)).toBe(0x8000);
    expect(Object.is(decode(0x8000), -0)).toBe(true);
    expect(encode(Number.MIN_VALUE)).toBe(0);
    expect(encode(Number.MAX_VALUE)).toBe(exponentMask);
  });

  test("rounding is monotone and symmetric", () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true }), fc.double({ noNaN: true }), (x, y) => {
        expect(decode(encode(Math.min(x, y)))).toBeLessThanOrEqual(decode(encode(Math.max(x, y))));
        expect(encode(-x)).toBe(encode(x) ^ 0x8000);
      }),
    );
  });
});

test("roundHalfEven", () => {
  expect([0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 2.4999, 7, -7].map((v) => roundHalfEven(v) + 0)).toEqual([0, 2, 2, 0, -2, -2, 2, 7, -7]);
  expect(roundHalfEven(Number.NaN)).toBeNaN();
  expect(roundHalfEven(2 ** 53)).toBe(2 ** 53);
});
