import { type BucketRange, linearLadder, padRows, powerOfTwoLadder, RowsError, singleBucket, sliceRows } from "@rlxjs/runtime";
import { describe, expect, test } from "vitest";

const f32 = (...values: number[]) => new Float32Array(values);
const uppers = (ladder: readonly BucketRange[]) => ladder.map(({ end }) => end - 1);

describe("rows", () => {
  test("are padded with zeros behind them", () => {
    expect(padRows(f32(1, 2, 3), 1, 5)).toEqual(f32(1, 2, 3, 0, 0));
    expect(padRows(new BigInt64Array([1n, 2n]), 2, 2)).toEqual(new BigInt64Array([1n, 2n, 0n, 0n]));
    expect(padRows(new Int32Array([7, 1, 2, 7]).subarray(1, 3), 2, 1)).toEqual(new Int32Array([1, 2]));
    expect(padRows(new Uint16Array([1, 2]).subarray(1), 1, 3)).toEqual(new Uint16Array([2, 0, 0]));
    expect(padRows(f32(), 3, 1)).toEqual(f32(0, 0, 0));
    const full = f32(1, 2, 3);
    expect(padRows(full, 1, 3)).toBe(full);
  });

  test("are cut back", () => {
    expect(sliceRows(f32(1, 2, 3, 0, 0), 1, 3)).toEqual(f32(1, 2, 3));
    expect(sliceRows(f32(1, 2, 3, 4, 5, 6, 0, 0, 0), 3, 2)).toEqual(f32(1, 2, 3, 4, 5, 6));
    expect(sliceRows(f32(1, 2), 1, 0)).toEqual(f32());
  });

  test("that are not whole, or too many, are refused", () => {
    expect(() => padRows(f32(1, 2, 3), 1, 2)).toThrowErrorMatchingInlineSnapshot(
      `[RowsError: padRows: expected at most 2 rows, got 3: they exceed upper]`,
    );
    expect(() => padRows(f32(1, 2, 3), 2, 5)).toThrowErrorMatchingInlineSnapshot(
      `[RowsError: padRows: expected rows of 2 elements, got 3 elements]`,
    );
    expect(() => padRows(f32(1, 2, 3), 0, 5)).toThrowErrorMatchingInlineSnapshot(
      `[RowsError: padRows: inner: expected a whole number of elements per row >= 1, got 0]`,
    );
    expect(() => sliceRows(f32(1, 2, 3), 1, 4)).toThrowErrorMatchingInlineSnapshot(
      `[RowsError: sliceRows: expected at most 3 rows, got 4: they exceed upper]`,
    );
    expect(() => sliceRows(f32(1, 2, 3), 2, 1)).toThrow(RowsError);
    expect(() => sliceRows(f32(1, 2, 3), 0, 1)).toThrow(RowsError);
    for (const n of [-1, 1.5, Number.NaN]) {
      expect(() => padRows(f32(), 1, n)).toThrow(RowsError);
      expect(() => padRows(f32(), n, 1)).toThrow(RowsError);
      expect(() => sliceRows(f32(1), 1, n)).toThrow(RowsError);
    }
  });
});

describe("ladders", () => {
  test("of powers of two", () => {
    expect(powerOfTwoLadder(8, 64)).toEqual([
      { start: 1, end: 9 },
      { start: 9, end: 17 },
      { start: 17, end: 33 },
      { start: 33, end: 65 },
    ]);
    expect(powerOfTwoLadder(16, 32)).toEqual([
      { start: 1, end: 17 },
      { start: 17, end: 33 },
    ]);
    expect(uppers(powerOfTwoLadder(10, 64))).toEqual([16, 32, 64]);
    expect(uppers(powerOfTwoLadder(8, 65))).toEqual([8, 16, 32, 64, 128]);
    expect(powerOfTwoLadder(1, 1)).toEqual([{ start: 1, end: 2 }]);
    expect(() => powerOfTwoLadder(0, 8)).toThrowErrorMatchingInlineSnapshot(
      `[BucketError: powerOfTwoLadder: expected whole numbers 1 <= min <= max, got min 0, max 8]`,
    );
    expect(() => powerOfTwoLadder(8, 7)).toThrowErrorMatchingInlineSnapshot(
      `[BucketError: powerOfTwoLadder: expected whole numbers 1 <= min <= max, got min 8, max 7]`,
    );
  });

  test("of one width, then a larger one", () => {
    const ladder = linearLadder(1024);
    expect(ladder.find(({ start, end }) => start <= 200 && 200 < end)).toEqual({ start: 193, end: 225 });
    expect(uppers(ladder)).toEqual([...Array.from({ length: 16 }, (_, i) => 32 * (i + 1)), 640, 768, 896, 1024]);
    expect(uppers(linearLadder(65))).toEqual([32, 64, 96]);
    expect(uppers(linearLadder(20, { width: 4, wideFrom: 9, wideWidth: 8 }))).toEqual([4, 8, 16, 24]);
    expect(() => linearLadder(0)).toThrowErrorMatchingInlineSnapshot(
      `[BucketError: linearLadder: expected whole numbers 1 <= min <= max, got min 1, max 0]`,
    );
    expect(() => linearLadder(8, { width: 0 })).toThrowErrorMatchingInlineSnapshot(
      `[BucketError: linearLadder: width: expected a whole number >= 1, got 0]`,
    );
  });

  test("of one bucket", () => {
    expect(singleBucket(4096)).toEqual([{ start: 1, end: 4097 }]);
  });
});
