import { RlxError } from "@rlxjs/ir";

/** Rows, lengths or widths that do not fit a KV cache. */
export class KvStateError extends RlxError {
  constructor(message: string) {
    super("ERR_KV_STATE", `KV cache: ${message}`);
  }
}

/** A past length whose key is in no bucket of the cache of compiled graphs. */
export class OutOfBucketError extends RlxError {
  readonly key: number;
  constructor(what: string, key: number, buckets: readonly { readonly start: number; readonly end: number }[]) {
    super("ERR_OUT_OF_BUCKET", `${what}: expected a key in ${buckets.map((b) => `[${b.start}, ${b.end})`).join(", ")}, got ${key}`);
    this.key = key;
  }
}

/** A graph that is not one of the decode contract: see docs/decode-contract.md. */
export class DecodeGraphError extends RlxError {
  constructor(graph: string, message: string) {
    super("ERR_DECODE_GRAPH", `graph "${graph}": ${message}`);
  }
}

/** A whole number from `min` on, or what to throw. */
export function checkCount(what: string, value: number, min = 0, max: number = Number.MAX_SAFE_INTEGER): number {
  if (Number.isSafeInteger(value) && value >= min && value <= max) return value;
  const upTo = max === Number.MAX_SAFE_INTEGER ? `>= ${min}` : `from ${min} to ${max}`;
  throw new KvStateError(`${what}: expected a whole number ${upTo}, got ${value}`);
}
