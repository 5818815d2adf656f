import fc from "fast-check";
import { expect, test } from "vitest";
import { entryBytes, PromptCache, type PromptEntry } from "../../src/prompt-cache/index.ts";
import { entryOf } from "./entry.ts";

const found = (cache: PromptCache, ...tokens: number[]): readonly number[] | undefined => cache.lookup(tokens)?.snapshot.tokens;
const bytesOf = (tokens: number): number => entryBytes(entryOf(new Array(tokens).fill(0)));

test("the longest entry that is a full prefix wins", () => {
  const cache = new PromptCache();
  for (const tokens of [[1], [1, 2, 3], [1, 2], [1, 2, 3, 4, 5], [2, 3]]) cache.insert(entryOf(tokens));
  expect(found(cache, 1, 2, 3, 4)).toEqual([1, 2, 3]);
  expect(found(cache, 1, 2, 3, 4, 5)).toEqual([1, 2, 3, 4, 5]);
  expect(found(cache, 1, 9)).toEqual([1]);
  // A common beginning is not enough.
  expect(found(cache, 2, 4)).toBeUndefined();
  expect(found(cache)).toBeUndefined();
  expect(cache.stats()).toMatchObject({ entries: 5, hits: 3, misses: 2, evictions: 0 });
});

test("the least recently used entry makes room, by bytes", () => {
  const cache = new PromptCache({ maxBytes: 3 * bytesOf(2) });
  for (const tokens of [
    [1, 1],
    [2, 2],
    [3, 3],
  ])
    cache.insert(entryOf(tokens));
  expect(found(cache, 1, 1)).toEqual([1, 1]);
  cache.insert(entryOf([4, 4]));
  expect(found(cache, 2, 2)).toBeUndefined();
  expect(cache.has([3, 3])).toBe(true);
  cache.insert(entryOf([5, 5, 5]));
  expect(cache.entries.map((e) => e.snapshot.tokens[0])).toEqual([3, 5]);
  expect(cache.stats()).toMatchObject({ bytes: bytesOf(2) + bytesOf(3), evictions: 3 });
});

test("an entry larger than the cache is left out and nothing makes room for it", () => {
  const cache = new PromptCache({ maxBytes: bytesOf(2) });
  expect(cache.insert(entryOf([1, 2]))).toBe(true);
  expect(cache.insert(entryOf([1, 2, 3]))).toBe(false);
  expect(cache.entries).toHaveLength(1);
});

test("the same tokens are one entry, the new one", () => {
  const cache = new PromptCache();
  cache.insert(entryOf([1, 2], { mark: 1 }));
  cache.insert(entryOf([1, 2], { mark: 2 }));
  expect(cache.stats().entries).toBe(1);
  expect(cache.lookup([1, 2])?.logits[0]).toBe(2);
  cache.clear();
  expect(cache.stats()).toMatchObject({ entries: 0, bytes: 0 });
});

test("it belongs to one model, the first that uses it", () => {
  const cache = new PromptCache();
  cache.bind("sha256:a");
  cache.bind("sha256:a");
  expect(() => cache.bind("sha256:b")).toThrowErrorMatchingInlineSnapshot(
    `[PromptCacheError: prompt cache: expected the entries of the model sha256:b (its weights, config, cache formats and kernels), got those of sha256:a]`,
  );
  expect(() => new PromptCache({ maxBytes: -1 })).toThrowErrorMatchingInlineSnapshot(
    `[PromptCacheError: prompt cache: maxBytes: expected a number >= 0, got -1]`,
  );
  expect(() => cache.insert(entryOf([]))).toThrowErrorMatchingInlineSnapshot(
    `[PromptCacheError: prompt cache: entry: expected at least one token, got none]`,
  );
});

test("any order of insertions and lookups is that of a plain list", () => {
  const tokens = fc.array(fc.nat(2), { minLength: 1, maxLength: 5 });
  const step = fc.record({ kind: fc.constantFrom("insert" as const, "lookup" as const, "has" as const), tokens });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.integer({ min: 0, max: 300 }), (steps, maxBytes) => {
      const cache = new PromptCache({ maxBytes });
      /** Most recently used last. */
      let model: PromptEntry[] = [];
      const key = (ids: readonly number[]): string => ids.join();
      const use = (entry: PromptEntry | undefined): void => {
        if (entry) model = [...model.filter((e) => e !== entry), entry];
      };
      for (const { kind, tokens: ids } of steps) {
        const exact = model.find((e) => key(e.snapshot.tokens) === key(ids));
        if (kind === "insert") {
          const entry = entryOf(ids);
          const fits = entryBytes(entry) <= maxBytes;
          expect(cache.insert(entry)).toBe(fits);
          if (!fits) continue;
          model = model.filter((e) => e !== exact);
          while (model.reduce((sum, e) => sum + entryBytes(e), entryBytes(entry)) > maxBytes) model.shift();
          model.push(entry);
        } else if (kind === "has") {
          expect(cache.has(ids)).toBe(exact !== undefined);
          use(exact);
        } else {
          const prefixes = model.filter((e) => key(ids.slice(0, e.snapshot.tokens.length)) === key(e.snapshot.tokens));
          const best = prefixes.sort((a, b) => b.snapshot.tokens.length - a.snapshot.tokens.length)[0];
          expect(cache.lookup(ids)).toBe(best);
          use(best);
        }
        expect(cache.entries).toEqual(model);
        expect(cache.bytes).toBeLessThanOrEqual(maxBytes);
      }
    }),
  );
});
