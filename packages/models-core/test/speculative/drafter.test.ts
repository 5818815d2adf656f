import fc from "fast-check";
import { expect, test } from "vitest";
import { promptLookup } from "../../src/speculative/drafter.ts";

const propose = (tokens: readonly number[], most: number, options = {}): readonly number[] => {
  const draft = promptLookup(options).propose(tokens, most);
  if (draft instanceof Promise) throw new Error("expected a draft at once");
  return draft.ids;
};

test("what followed the last time, for the longest run of latest tokens", () => {
  expect(propose([1, 2, 3, 9, 2, 3, 8, 1, 2, 3], 2)).toEqual([9, 2]);
  expect(propose([2, 3, 8, 5, 2, 3, 7, 5, 2, 3], 3)).toEqual([7, 5, 2]);
  expect(propose([4, 3, 5, 6, 3], 2, { minNgram: 1 })).toEqual([5, 6]);
});

test("nothing where nothing repeats", () => {
  expect(propose([1, 2, 3, 4], 4)).toEqual([]);
  expect(propose([1], 4)).toEqual([]);
  expect(propose([], 4)).toEqual([]);
  expect(propose([4, 3, 5, 6, 3], 2)).toEqual([]);
});

test("a text with a period goes on with it", () => {
  expect(propose([1, 2, 3, 1, 2, 3], 7)).toEqual([1, 2, 3, 1, 2, 3, 1]);
  expect(propose([5, 5, 5], 3)).toEqual([5, 5, 5]);
});

test("as a search by hand finds it", () => {
  const text = fc.array(fc.nat(2), { maxLength: 14 });
  fc.assert(
    fc.property(text, fc.integer({ min: 1, max: 5 }), (tokens, most) => {
      let expected: number[] = [];
      for (let n = 1; n <= 3; n++)
        for (let end = n; end < tokens.length; end++)
          if (tokens.length > n && `${tokens.slice(end - n, end)}` === `${tokens.slice(-n)}`) {
            expected = [];
            const whole = [...tokens];
            for (let i = 0; i < most; i++) {
              whole.push(whole[end + i] ?? -1);
              expected.push(whole.at(-1) ?? -1);
            }
          }
      expect(propose(tokens, most, { minNgram: 1 })).toEqual(expected);
    }),
  );
});

test("lengths out of order are errors", () => {
  expect(() => promptLookup({ maxNgram: 1, minNgram: 2 })).toThrowErrorMatchingInlineSnapshot(
    `[SpeculativeError: maxNgram: expected an integer >= 2, got 1]`,
  );
});
