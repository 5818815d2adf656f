import { RlxError } from "@rlxjs/ir";

/** A compile cache with options that make no sense. */
export class CacheError extends RlxError {
  constructor(message: string) {
    super("ERR_CACHE", message);
  }
}
/** A list of buckets that is empty or overlaps, a ladder or a key that is no whole number. */
export class BucketError extends RlxError {
  constructor(message: string) {
    super("ERR_BUCKET", message);
  }
}
/** Data that is not made of whole rows, or of more rows than there is room for. */
export class RowsError extends RlxError {
  constructor(where: string, message: string) {
    super("ERR_ROWS", `${where}: ${message}`);
  }
}
