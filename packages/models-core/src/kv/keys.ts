import type { BucketRange } from "@rlxjs/runtime";
import { checkCount } from "./errors.ts";

const SEQ = 2 ** 32;
/** So that every key is a safe integer. */
const MAX_BATCH = 2 ** 21 - 1;

/** One whole number for a batch size and a length: `batch * 2^32 + seq`, which is exact in a double. */
export const prefillCacheKey = (batch: number, seq: number): number =>
  checkCount("key: batch", batch, 1, MAX_BATCH) * SEQ + checkCount("key: seq", seq, 0, SEQ - 1);

/** Batch size and length of a key. */
export function splitCacheKey(key: number): { readonly batch: number; readonly seq: number } {
  checkCount("key", key, SEQ);
  return { batch: Math.floor(key / SEQ), seq: key % SEQ };
}

/** The ranges of lengths for each of these batch sizes, as ranges of `prefillCacheKey`. */
export const batchedBuckets = (buckets: readonly BucketRange[], batches: readonly number[]): BucketRange[] =>
  batches.flatMap((batch) =>
    buckets.map(({ start, end }) => ({ start: prefillCacheKey(batch, start), end: prefillCacheKey(batch, end - 1) + 1 })),
  );
