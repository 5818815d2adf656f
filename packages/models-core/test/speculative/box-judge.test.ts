import { expect, test } from "vitest";
import { type BoxTokens, boxJudge } from "../../src/speculative/box-judge.ts";
import type { BlockSlab } from "../../src/speculative/decode-blocks.ts";

const ids: BoxTokens = { start: 1, end: 2, none: 3, null: 4, stop: 5, firstCoordinate: 10, lastCoordinate: 109 };
const vocab = 110;
/** Rows by the probabilities of some tokens; the rest is spread over the others. */
function slab(rows: readonly Readonly<Record<number, number>>[]): BlockSlab {
  const logits = new Float32Array(rows.length * vocab);
  for (const [r, row] of rows.entries()) {
    const given = Object.entries(row);
    const rest = 1 - given.reduce((sum, [, p]) => sum + p, 0);
    logits.fill(Math.log(rest / (vocab - given.length)), r * vocab, (r + 1) * vocab);
    for (const [id, p] of given) logits[r * vocab + Number(id)] = Math.log(p);
  }
  return { rows: rows.length, vocab, logits };
}
const sure = (id: number): Record<number, number> => ({ [id]: 0.95 });
const judge = (rows: readonly Readonly<Record<number, number>>[]) => boxJudge(ids)(slab(rows), []);
const box = [sure(1), sure(20), sure(30), sure(40), sure(50), sure(2)];

test("a box is read from all its rows", () => {
  expect(judge(box)).toEqual({ ids: [1, 20, 30, 40, 50, 2] });
  // The frame needs rows 1 to 5: the same first row with other rows behind it is something else.
  expect(judge(box.with(5, sure(20)))).toBeUndefined();
  expect(judge(box.with(0, { 1: 0.5 }))).toBeUndefined();
});

test("an empty box, and the end of the text", () => {
  expect(judge([sure(1), { 3: 0.3 }, { 2: 0.3 }, { 4: 0.2 }, { 4: 0.2 }, sure(4)])).toEqual({ ids: [1, 3, 2] });
  expect(judge(box.with(0, sure(5)))).toEqual({ ids: [5] });
});

test("a coordinate is the likeliest of the five likeliest tokens that is one", () => {
  expect(judge(box.with(2, { 7: 0.6, 33: 0.35 }))).toEqual({ ids: [1, 20, 33, 40, 50, 2] });
  // None among five.
  expect(judge(box.with(2, { 6: 0.2, 7: 0.2, 8: 0.2, 9: 0.2, 0: 0.1, 33: 0.05 }))).toEqual({ ids: [1, 20], fallback: true });
});

test("an unsure coordinate ends the block before it", () => {
  expect(judge(box.with(3, { 12: 0.5, 100: 0.4 }))).toEqual({ ids: [1, 20, 30], fallback: true });
  // Unsure, but near each other.
  expect(judge(box.with(3, { 12: 0.4, 13: 0.2, 14: 0.1, 15: 0.1, 16: 0.1 }))).toEqual({ ids: [1, 20, 30, 12, 50, 2] });
});

test("only blocks of six rows are boxes", () => {
  expect(judge(box.slice(0, 5))).toBeUndefined();
});
