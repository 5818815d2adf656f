export { DecodeGraphError, KvStateError, OutOfBucketError } from "./errors.ts";
export { batchedBuckets, prefillCacheKey, splitCacheKey } from "./keys.ts";
export { type KvCacheInit, KvCacheState } from "./kv-state.ts";
export { bucketDecodeMask, bucketDecodeMaskWindowed } from "./masks.ts";
export { crossKvInputNames, pastKvInputNames } from "./names.ts";
export {
  compactBucketedKvBuffer,
  inferPrefillKvSeq,
  kvFromPrefillOutputs,
  splitDecodeLogitsKv,
  splitDecodeLogitsKvAux,
  type SplitOutputs,
} from "./outputs.ts";
export type { KvRows } from "./row-buffer.ts";
