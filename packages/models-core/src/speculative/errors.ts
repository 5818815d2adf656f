import { RlxError } from "@rlxjs/ir";

/** Arguments of block or speculative decoding that do not fit together. */
export class SpeculativeError extends RlxError {
  constructor(what: string, expected: string, given: unknown) {
    super("ERR_SPECULATIVE", `${what}: expected ${expected}, got ${String(given)}`);
  }
}

/** Refuse a number that is not an integer from `min` to `max`. */
export function checkCount(what: string, value: number, min: number, max: number = Number.MAX_SAFE_INTEGER): void {
  const range = max === Number.MAX_SAFE_INTEGER ? `an integer >= ${min}` : `an integer from ${min} to ${max}`;
  if (!Number.isSafeInteger(value) || value < min || value > max) throw new SpeculativeError(what, range, value);
}
