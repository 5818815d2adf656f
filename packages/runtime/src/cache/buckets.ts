import { BucketError } from "./errors.ts";

/** Keys from `start` up to, not including, `end`; its graph is compiled for `upper = end - 1`. */
export interface BucketRange {
  readonly start: number;
  readonly end: number;
}

const show = ({ start, end }: BucketRange): string => `[${start}, ${end})`;

function checkExtents(ladder: string, min: number, max: number): void {
  if (!Number.isSafeInteger(min) || !Number.isSafeInteger(max) || min < 1 || max < min)
    throw new BucketError(`${ladder}: expected whole numbers 1 <= min <= max, got min ${min}, max ${max}`);
}

/**
 * Buckets whose uppers double: the first is `min` rounded up to a power of two, the last is the first one that is no smaller than
 * `max`. (8, 64) gives uppers 8, 16, 32, 64. Key 0 is in none of them.
 */
export function powerOfTwoLadder(min: number, max: number): BucketRange[] {
  checkExtents("powerOfTwoLadder", min, max);
  let upper = 1;
  while (upper < min) upper *= 2;
  const ladder = [{ start: 1, end: upper + 1 }];
  for (; upper < max; upper *= 2) ladder.push({ start: upper + 1, end: 2 * upper + 1 });
  return ladder;
}

export interface LinearLadderOptions {
  /** Keys per bucket. Default 32. */
  readonly width?: number;
  /** From the first bucket that starts here or above, buckets are `wideWidth` wide. Default 512. */
  readonly wideFrom?: number;
  /** Default 128. */
  readonly wideWidth?: number;
}

/** Buckets of one width, then of a larger one, from 1 until `max` is in one: less padding than powers of two. */
export function linearLadder(max: number, options: LinearLadderOptions = {}): BucketRange[] {
  const { width = 32, wideFrom = 512, wideWidth = 128 } = options;
  checkExtents("linearLadder", 1, max);
  for (const [name, value] of Object.entries({ width, wideFrom, wideWidth }))
    if (!Number.isSafeInteger(value) || value < 1)
      throw new BucketError(`linearLadder: ${name}: expected a whole number >= 1, got ${value}`);
  const ladder: BucketRange[] = [];
  for (let start = 1; start <= max; ) {
    const end = start + (start >= wideFrom ? wideWidth : width);
    ladder.push({ start, end });
    start = end;
  }
  return ladder;
}

/** One bucket for the keys 1 to `max`. With symbolic extents it serves as well as a ladder, for one compile. */
export function singleBucket(max: number): BucketRange[] {
  checkExtents("singleBucket", 1, max);
  return [{ start: 1, end: max + 1 }];
}

/** Buckets, checked: at least one, none empty, no two that overlap. */
export function checkBuckets(buckets: readonly BucketRange[]): readonly BucketRange[] {
  if (buckets.length === 0) throw new BucketError("buckets: expected at least one range, got none");
  for (const b of buckets)
    if (!Number.isSafeInteger(b.start) || !Number.isSafeInteger(b.end) || b.start < 0 || b.end <= b.start)
      throw new BucketError(`bucket ${show(b)}: expected whole numbers 0 <= start < end`);
  const sorted = [...buckets].sort((a, b) => a.start - b.start);
  for (const [i, b] of sorted.entries()) {
    const before = sorted[i - 1];
    if (before && before.end > b.start) throw new BucketError(`bucket ${show(b)}: expected no overlap, got ${show(before)} beside it`);
  }
  return buckets.map(({ start, end }) => ({ start, end }));
}

/** Index of the bucket that a key is in; undefined: in none. BucketError for a key that is no whole number. */
export function findBucket(buckets: readonly BucketRange[], key: number): number | undefined {
  if (!Number.isSafeInteger(key)) throw new BucketError(`bucket key: expected a whole number, got ${key}`);
  const index = buckets.findIndex((b) => b.start <= key && key < b.end);
  return index < 0 ? undefined : index;
}
