import type { Tensor } from "@rlxjs/ir";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bucketDecodeMask, decodeMask } from "../../src/kv/masks.ts";
import { causalBias, incrementalBias, replicateBias, textMaskBias, windowBias } from "../../src/speculative/masks.ts";

const X = Number.NEGATIVE_INFINITY;
/** Element at an index of each axis. */
function at(t: Tensor, ...index: number[]): number {
  return t.get(index.reduce((flat, i, axis) => flat * (t.shape[axis] ?? 0) + i, 0));
}
/** Rows as text: `.` is seen, `x` is blocked. */
const picture = (t: Tensor): string[] => {
  const width = t.shape.at(-1) ?? 0;
  const text = t
    .toArray()
    .map((v) => (v === 0 ? "." : v === X ? "x" : "?"))
    .join("");
  return Array.from({ length: t.size / width }, (_, row) => text.slice(row * width, (row + 1) * width));
};

test("causal", () => {
  expect(at(causalBias(5), 0, 0)).toBe(0);
  expect(at(causalBias(5), 0, 1)).toBe(X);
  expect(picture(causalBias(3))).toEqual([".xx", "..x", "..."]);
});

describe("window", () => {
  test("its tail sees itself in both directions", () => {
    const bias = windowBias({ length: 8, block: 4 });
    expect(at(bias, 7, 7)).toBe(0);
    expect(at(bias, 0, 7)).toBe(X);
    expect(picture(bias)).toEqual([".xxxxxxx", "..xxxxxx", "...xxxxx", "....xxxx", "........", "........", "........", "........"]);
  });
  test("over a cache the block does not see the original of its first token", () => {
    expect(picture(windowBias({ length: 6, block: 3, cached: true }))).toEqual([
      ".xxxxx",
      "..xxxx",
      "...xxx",
      "..x...",
      "..x...",
      "..x...",
    ]);
    expect(picture(windowBias({ length: 2, block: 2, cached: true }))).toEqual(["..", ".."]);
  });
  test("a block longer than the window is an error", () => {
    expect(() => windowBias({ length: 3, block: 4 })).toThrowErrorMatchingInlineSnapshot(
      `[SpeculativeError: block: expected an integer from 1 to 3, got 4]`,
    );
  });
});

describe("text mask", () => {
  const M = 99;
  test("without placeholders it is causal", () => {
    const bias = textMaskBias([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], M);
    expect([at(bias, 9, 8), at(bias, 9, 9), at(bias, 0, 9)]).toEqual([0, 0, X]);
    expect(bias.toArray()).toEqual(causalBias(10).toArray());
  });
  test("a run and the token before it see each other", () => {
    const bias = textMaskBias([1, 2, M, M, M], M);
    expect(at(bias, 1, 2)).toBe(0);
    expect(picture(bias)).toEqual([".xxxx", ".....", ".....", ".....", "....."]);
  });
  test("later tokens and later blocks do not see placeholders", () => {
    expect(picture(textMaskBias([1, M, M, 4, M], M))).toEqual(["...xx", "...xx", "...xx", ".xx..", ".xx.."]);
    expect(picture(textMaskBias([M, M, 3], M))).toEqual(["..x", "..x", "xx."]);
  });
});

test("one bias for all heads and sequences", () => {
  const bias = windowBias({ length: 6, block: 2 });
  const all = replicateBias(bias, { heads: 2 });
  expect(all.size).toBe(2 * 6 * 6);
  expect(all.toArray().slice(36)).toEqual(all.toArray().slice(0, 36));
  expect(replicateBias(bias, { batch: 3, heads: 2 }).shape).toEqual([3, 2, 6, 6]);
});

describe("incremental", () => {
  test("the rows of the block", () => {
    const full = windowBias({ length: 8, block: 3, cached: true });
    const bias = incrementalBias(full, { past: 5, queries: 3, heads: 2 });
    expect(bias.size).toBe(2 * 3 * 8);
    expect(at(bias, 0, 0, 0, 0)).toBe(at(full, 5, 0));
    expect(picture(bias)).toEqual(Array.from({ length: 6 }, () => "....x..."));
  });
  test("padding is blocked, new rows lie behind it", () => {
    const bias = incrementalBias(windowBias({ length: 5, block: 2 }), { past: 3, queries: 2, upper: 6, heads: 1 });
    expect(bias.shape).toEqual([1, 1, 2, 8]);
    expect(picture(bias)).toEqual(["...xxx..", "...xxx.."]);
  });
  test("padded is the unpadded one laid out again", () => {
    const sizes = fc.record({ past: fc.nat(8), queries: fc.integer({ min: 1, max: 5 }), padding: fc.nat(6), cached: fc.boolean() });
    fc.assert(
      fc.property(sizes, ({ past, queries, padding, cached }) => {
        const full = windowBias({ length: past + queries, block: queries, cached });
        const options = { past, queries, heads: 2, batch: 2 };
        const plain = incrementalBias(full, options);
        const padded = incrementalBias(full, { ...options, upper: past + padding });
        const expected = picture(plain).map((row) => row.slice(0, past) + "x".repeat(padding) + row.slice(past));
        expect(picture(padded)).toEqual(expected);
        // What the decode contract makes for a graph with such an input.
        const type = { dtype: "f32", shape: [2, 2, queries, past + padding + queries] } as const;
        const newRows = cached ? "copied-block" : "block";
        expect(decodeMask(type, 2, { first: 0, past, newAt: past + padding, newRows: queries }, { kind: "bias", newRows })).toEqual(padded);
      }),
    );
  });
  test("a bias of another size is an error", () => {
    expect(() => incrementalBias(causalBias(4), { past: 3, queries: 2, heads: 1 })).toThrowErrorMatchingInlineSnapshot(
      `[SpeculativeError: full bias: expected [5, 5], got [4, 4]]`,
    );
    expect(() => incrementalBias(causalBias(5), { past: 3, queries: 2, upper: 2, heads: 1 })).toThrowErrorMatchingInlineSnapshot(
      `[SpeculativeError: upper: expected an integer >= 3, got 2]`,
    );
  });
});

test("the keep mask of a step over a padded past has the new rows at `upper`", () => {
  expect([...bucketDecodeMask(10, 15)]).toEqual([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1]);
  expect([...bucketDecodeMask(2, 4, 3)]).toEqual([1, 1, 0, 0, 1, 1, 1]);
});
