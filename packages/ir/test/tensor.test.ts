import { floatDTypes, intDTypes, intRange, RlxError, Tensor } from "@rlxjs/ir";
import fc from "fast-check";
import { expect, test } from "vitest";

test("numbers are rounded to the dtype: integers truncate and saturate, NaN is 0", () => {
  const values = [1.9, -1.9, 300, -300, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0];
  expect(Tensor.from("i8", [8], values).toArray()).toEqual([1, -1, 127, -128, 0, 127, -128, 0]);
  expect(Tensor.from("u8", [8], values).toArray()).toEqual([1, 0, 255, 0, 0, 255, 0, 0]);
  expect(Tensor.from("bool", [8], values).toArray()).toEqual([1, 1, 1, 1, 1, 1, 1, 0]);
  expect(Tensor.from("f16", [8], values).toArray()).toEqual([
    1.900390625,
    -1.900390625,
    300,
    -300,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    -0,
  ]);
  for (const d of intDTypes) {
    const { min, max } = intRange(d);
    const t = Tensor.from(d, [2], [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]);
    expect([t.getInt(0), t.getInt(1)]).toEqual([max, min]);
  }
});

test("integers are exact and wrap", () => {
  const t = Tensor.from("i64", [3], [2n ** 63n - 1n, 2n ** 63n, 2n ** 53n + 1n]);
  expect([t.getInt(0), t.getInt(1), t.getInt(2)]).toEqual([2n ** 63n - 1n, -(2n ** 63n), 2n ** 53n + 1n]);
  expect(Tensor.from("i8", [2], [128n, -129n]).toArray()).toEqual([-128, 127]);
  expect(Tensor.from("u32", [1], [-1n]).toArray()).toEqual([2 ** 32 - 1]);
  expect(Tensor.from("i16", [1], [40000n]).toArray()).toEqual([40000 - 65536]);
  expect(Tensor.from("f32", [1], [2n ** 24n + 1n]).toArray()).toEqual([2 ** 24]);
  expect(Tensor.from("bool", [2], [0n, 5n]).toArray()).toEqual([0, 1]);
});

test("what a float dtype can hold survives, and rounding twice is rounding once", () => {
  fc.assert(
    fc.property(fc.constantFrom(...floatDTypes), fc.array(fc.double()), (dtype, values) => {
      const once = Tensor.from(dtype, [values.length], values);
      const twice = Tensor.from(dtype, [values.length], once.toArray());
      expect(twice.toArray()).toEqual(once.toArray());
    }),
  );
});

test("bytes: views share memory when aligned, copies are made when not", () => {
  const bytes = new Uint8Array(16);
  const shared = Tensor.fromBytes("f32", [2], bytes.subarray(4, 12));
  shared.set(0, 1);
  expect(bytes[7]).toBe(0x3f);
  const copied = Tensor.fromBytes("f32", [2], bytes.subarray(3, 11));
  copied.set(0, 2);
  expect(bytes[6]).toBe(0x80);
  expect(bytes[7]).toBe(0x3f);
  expect(shared.bytes.byteOffset).toBe(4);
});

test("frozen values are decoded once; others follow the data", () => {
  const frozen = Tensor.from("f16", [1], [1]).freeze();
  expect(frozen.values()).toBe(frozen.values());
  const open = Tensor.from("f16", [1], [1]);
  open.values();
  open.set(0, 2);
  expect(open.values()[0]).toBe(2);
});

test("shape, dtype and byte length are checked", () => {
  expect(() => new Tensor("f32", [2], new Float32Array(3))).toThrowErrorMatchingInlineSnapshot(
    `[RlxError: tensor f32[2]: expected 8 bytes, got 12]`,
  );
  expect(() => new Tensor("f32", [2], new Float64Array(1))).toThrowErrorMatchingInlineSnapshot(
    `[RlxError: tensor f32[2]: expected Float32Array, got a Float64Array]`,
  );
  expect(() => new Tensor("f32", [-1], new Float32Array(0))).toThrowErrorMatchingInlineSnapshot(
    `[RlxError: tensor shape: expected a list of extents >= 0, got [-1]]`,
  );
  expect(() => Tensor.from("f32", [2, 2], [1])).toThrowErrorMatchingInlineSnapshot(`[RlxError: tensor f32[2,2]: expected 4 values, got 1]`);
  expect(() => Tensor.fromBytes("f32", [1], new Uint8Array(3))).toThrow(RlxError);
  expect(() => Tensor.zeros("q4_0", [8])).toThrowErrorMatchingInlineSnapshot(
    `[RlxError: tensor q4_0[8]: the last extent must be a multiple of 32, got 8]`,
  );
  expect(() => intRange("f32")).toThrow(RlxError);
  expect(Tensor.zeros("f64", []).size).toBe(1);
  expect(Tensor.zeros("f64", [3, 0]).size).toBe(0);
});
