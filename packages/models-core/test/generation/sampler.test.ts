import fc from "fast-check";
import { expect, test } from "vitest";
import { Sampler } from "../../src/generation/sampler.ts";

const logits = (...v: number[]): Float32Array => Float32Array.from(v);
const draws = (options: ConstructorParameters<typeof Sampler>[0], n: number, of: () => Float32Array): number[] => {
  const s = new Sampler(options);
  return Array.from({ length: n }, () => s.next(of(), []));
};

test("greedy takes the first maximum", () => {
  expect(new Sampler().next(logits(1, 3, 3, 2), [])).toBe(1);
  expect(new Sampler().greedy).toBe(true);
  expect(new Sampler({ repetitionPenalty: 1.1 }).greedy).toBe(false);
});

test("one seed gives one sequence of differing draws", () => {
  const flat = () => new Float32Array(50);
  const a = draws({ temperature: 1, seed: 7 }, 20, flat);
  expect(draws({ temperature: 1, seed: 7 }, 20, flat)).toEqual(a);
  expect(new Set(a).size).toBeGreaterThan(5);
  expect(draws({ temperature: 1, seed: 8 }, 20, flat)).not.toEqual(a);
});

test("top-k 1 is greedy at any temperature, ties keep the lower id", () => {
  expect(new Set(draws({ temperature: 5, topK: 1, seed: 1 }, 50, () => logits(0, 2, 2, 1)))).toEqual(new Set([1]));
});

test("top-p keeps the smallest prefix that reaches p", () => {
  // probabilities 0.5, 0.25, 0.15, 0.1
  const of = () => logits(Math.log(0.1), Math.log(0.5), Math.log(0.15), Math.log(0.25));
  expect(new Set(draws({ temperature: 1, topP: 0.5, seed: 1 }, 300, of))).toEqual(new Set([1]));
  expect(new Set(draws({ temperature: 1, topP: 0.74, seed: 1 }, 300, of))).toEqual(new Set([1, 3]));
  expect(new Set(draws({ temperature: 1, topP: 0.95, seed: 1 }, 500, of))).toEqual(new Set([0, 1, 2, 3]));
});

test("min-p keeps tokens relative to the most likely one", () => {
  const of = () => logits(Math.log(0.1), Math.log(0.5), Math.log(0.15), Math.log(0.25));
  expect(new Set(draws({ temperature: 1, minP: 0.4, seed: 1 }, 300, of))).toEqual(new Set([1, 3]));
});

test("the draw follows the distribution", () => {
  const counts = [0, 0, 0];
  for (const id of draws({ temperature: 1, seed: 3 }, 20_000, () => logits(Math.log(0.2), Math.log(0.3), Math.log(0.5))))
    counts[id] = (counts[id] ?? 0) + 1;
  // four standard deviations of a binomial share at n = 20,000 are below 0.0142
  for (const [i, p] of [0.2, 0.3, 0.5].entries()) expect(Math.abs((counts[i] ?? 0) / 20_000 - p)).toBeLessThan(0.0142);
});

test("penalties act on recent tokens only", () => {
  expect(new Sampler({ repetitionPenalty: 2 }).next(logits(1, 1.5), [1])).toBe(0);
  expect(new Sampler({ repetitionPenalty: 2 }).next(logits(-1.5, -1), [1])).toBe(0);
  expect(new Sampler({ repetitionPenalty: 2, penaltyWindow: 1 }).next(logits(1, 1.5), [1, 0])).toBe(1);
  expect(new Sampler({ frequencyPenalty: 0.3 }).next(logits(1, 1.5), [1, 1])).toBe(0);
  expect(new Sampler({ presencePenalty: 0.3 }).next(logits(1, 1.5), [1, 1])).toBe(1);
  expect(new Sampler({ logitBias: new Map([[0, 10]]) }).next(logits(1, 1.5), [])).toBe(0);
});

test("top-k is the set of the k largest for any logits", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: -20, max: 20 }), { minLength: 1, maxLength: 60 }),
      fc.integer({ min: 1, max: 60 }),
      (values, topK) => {
        const sorted = values.map((v, id) => ({ v, id })).sort((a, b) => b.v - a.v || a.id - b.id);
        const allowed = new Set(sorted.slice(0, topK).map((c) => c.id));
        for (const id of draws({ temperature: 1, topK, seed: 1 }, 10, () => Float32Array.from(values))) expect(allowed).toContain(id);
      },
    ),
  );
});

test("options out of range and NaN logits are errors", () => {
  expect(() => new Sampler({ topP: 0 })).toThrowErrorMatchingInlineSnapshot(
    `[GenerationOptionError: topP: expected a number in (0, 1], got 0]`,
  );
  expect(() => new Sampler({ topK: 1.5 })).toThrowErrorMatchingInlineSnapshot(
    `[GenerationOptionError: topK: expected an integer >= 0, got 1.5]`,
  );
  expect(() => new Sampler().next(logits(0, Number.NaN), [])).toThrowErrorMatchingInlineSnapshot(`[RlxError: logit 1 is NaN]`);
});

test("temperature 0 is the plain maximum, whatever else is set, and takes no random number", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -9, max: 9 }), { minLength: 1, maxLength: 20 }), fc.nat(5), (values, topK) => {
      const best = values.indexOf(Math.max(...values));
      expect(new Sampler({ temperature: 0, topK, topP: 0.4, minP: 0.2, seed: 1 }).next(logits(...values), [])).toBe(best);
    }),
  );
  const sampler = new Sampler({ seed: 4 });
  sampler.next(logits(1, 2), []);
  expect(sampler.uniform()).toBe(new Sampler({ seed: 4 }).uniform());
});

test("top-k and top-p keep the lower id of equal logits", () => {
  const equal = () => logits(1, 1, 1, 1);
  expect(new Set(draws({ temperature: 1, topK: 2, seed: 1 }, 200, equal))).toEqual(new Set([0, 1]));
  expect(new Set(draws({ temperature: 1, topP: 0.5, seed: 1 }, 200, equal))).toEqual(new Set([0, 1]));
});

test("the distribution is what the draws follow", () => {
  const options = { temperature: 0.7, topK: 3, minP: 0.1, repetitionPenalty: 1.5, seed: 9 };
  const of = () => logits(0.3, 2, 1.5, 1.9, -1);
  const shares = new Sampler(options).distribution(of(), [1]);
  expect(shares.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 12);
  expect(shares[4]).toBe(0);
  const sampler = new Sampler(options);
  const counts = new Array(5).fill(0);
  for (let i = 0; i < 20_000; i++) counts[sampler.next(of(), [1])] += 1;
  for (const [i, p] of shares.entries()) expect(Math.abs(counts[i] / 20_000 - p)).toBeLessThan(0.0142);
  expect([...new Sampler().distribution(logits(0, 2, 2), [])]).toEqual([0, 1, 0]);
});
