import { checkCount } from "./errors.ts";

/**
 * Keep mask of a decode step over a past that is padded to `upper`: ones for the rows [0, past) and for the new ones, which lie at
 * `upper` and behind it; zeros for the padding. Length `upper + newRows`.
 */
export function bucketDecodeMask(past: number, upper: number, newRows = 1): Uint8Array<ArrayBuffer> {
  return bucketDecodeMaskWindowed(past, upper, 0, newRows);
}

/** The same with only the newest `window` rows of the past; 0: all of it. Queries that see W keys, their own included, have window W - 1. */
export function bucketDecodeMaskWindowed(past: number, upper: number, window: number, newRows = 1): Uint8Array<ArrayBuffer> {
  checkCount("upper", upper);
  checkCount("past", past, 0, upper);
  checkCount("window", window);
  const mask = new Uint8Array(upper + checkCount("newRows", newRows, 1));
  mask.fill(1, window === 0 ? 0 : Math.max(0, past - window), past);
  mask.fill(1, upper);
  return mask;
}
