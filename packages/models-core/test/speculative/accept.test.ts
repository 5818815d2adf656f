import { Rng } from "@rlxjs/ir";
import fc from "fast-check";
import { expect, test } from "vitest";
import { acceptDraft, acceptExact, residualDistribution } from "../../src/speculative/accept.ts";
import { drawIndex } from "../../src/generation/sampler.ts";

const dist = (...p: number[]): Float64Array => Float64Array.from(p);
const random = (seed: number | bigint): (() => number) => {
  const rng = new Rng(seed);
  return () => rng.uniform();
};

test("a draft from the target's own distributions is accepted whole, with one more token", () => {
  const p = dist(0.1, 0.2, 0.3, 0.4);
  for (let seed = 0; seed < 100; seed++) {
    const uniform = random(seed);
    const drafted = [0, 1, 2].map(() => drawIndex(p, uniform()));
    const verdict = acceptDraft(drafted, [p, p, p], [p, p, p, dist(0, 1, 0, 0)], uniform);
    expect(verdict).toEqual({ accepted: 3, token: 1 });
  }
});

test("a draft that the target never draws is refused at once, the correction comes from the residual", () => {
  for (let seed = 0; seed < 100; seed++) {
    const verdict = acceptDraft([0, 0], [dist(1, 0, 0), dist(1, 0, 0)], [dist(0, 1, 0), dist(0, 1, 0), dist(1, 0, 0)], random(seed));
    expect(verdict).toEqual({ accepted: 0, token: 1 });
  }
});

test("the residual is where the target has more; without any it is the target", () => {
  expect([...residualDistribution(dist(0.5, 0.25, 0.25), dist(0.25, 0.75, 0))]).toEqual([0.25, 0, 0.25]);
  expect(residualDistribution(dist(0.5, 0.5), dist(0.5, 0.5))).toEqual(dist(0.5, 0.5));
});

test("tokens are distributed as the target draws them, for any draft", () => {
  const [q, p] = [dist(0.6, 0.1, 0.05, 0.25), dist(0.2, 0.5, 0.25, 0.05)];
  const uniform = random(5);
  const n = 20_000;
  const counts = [0, 0, 0, 0];
  let accepted = 0;
  for (let i = 0; i < n; i++) {
    const drafted = drawIndex(q, uniform());
    const verdict = acceptDraft([drafted], [q], [p, p], uniform);
    accepted += verdict.accepted;
    const first = verdict.accepted > 0 ? drafted : verdict.token;
    counts[first] = (counts[first] ?? 0) + 1;
  }
  // Four standard deviations of a binomial share at n = 20,000 are below 0.0142.
  for (const [i, share] of p.entries()) expect(Math.abs((counts[i] ?? 0) / n - share)).toBeLessThan(0.0142);
  // The acceptance rate is 1 - the total variation distance: the sum of min(p, q).
  expect(Math.abs(accepted / n - (0.2 + 0.1 + 0.05 + 0.05))).toBeLessThan(0.0142);
});

test("greedy: the longest prefix that the target would have chosen", () => {
  expect(acceptExact([4, 5, 6], [4, 5, 7, 8])).toEqual({ accepted: 2, token: 7 });
  expect(acceptExact([4, 5], [4, 5, 9])).toEqual({ accepted: 2, token: 9 });
  expect(acceptExact([], [3])).toEqual({ accepted: 0, token: 3 });
});

test("greedy is speculative sampling of distributions that have one token", () => {
  const token = fc.nat(2);
  const oneHot = (t: number): Float64Array => dist(...[0, 1, 2].map((i) => (i === t ? 1 : 0)));
  fc.assert(
    fc.property(fc.array(token, { maxLength: 6 }), fc.array(token, { minLength: 7, maxLength: 7 }), fc.nat(), (drafted, more, seed) => {
      const best = more.slice(0, drafted.length + 1);
      expect(acceptDraft(drafted, drafted.map(oneHot), best.map(oneHot), random(seed))).toEqual(acceptExact(drafted, best));
    }),
  );
});

test("one seed, one verdict", () => {
  const rows = [dist(0.5, 0.5), dist(0.3, 0.7), dist(0.9, 0.1)];
  const verdict = (seed: number) => acceptDraft([0, 1], [dist(0.7, 0.3), dist(0.1, 0.9)], rows, random(seed));
  for (let seed = 0; seed < 20; seed++) expect(verdict(seed)).toEqual(verdict(seed));
  expect(new Set(Array.from({ length: 20 }, (_, seed) => JSON.stringify(verdict(seed)))).size).toBeGreaterThan(1);
});

test("rows that do not fit the draft are errors", () => {
  expect(() => acceptExact([1, 2], [1, 2])).toThrowErrorMatchingInlineSnapshot(
    `[SpeculativeError: target: expected 3 rows (one more than drafted), got 2]`,
  );
  expect(() => acceptDraft([1], [], [dist(1), dist(1)], random(1))).toThrowErrorMatchingInlineSnapshot(
    `[SpeculativeError: draft: expected 1 distributions (one per token), got 0]`,
  );
  expect(() => acceptDraft([1], [dist(1, 0)], [dist(1, 0), dist(1, 0)], random(1))).toThrowErrorMatchingInlineSnapshot(
    `[SpeculativeError: drafted token 0: expected a token that its distribution can draw, got 1]`,
  );
});
