export {
  type BucketBuild,
  type BucketBuildSync,
  type BucketCallOptions,
  type BucketedCacheOptions,
  BucketedCompileCache,
  type GraphWithParams,
  type HirWithParams,
  type PaddedRunOptions,
  type SyncPaddedRunOptions,
} from "./bucketed-compile-cache.ts";
export { type BucketRange, type LinearLadderOptions, linearLadder, powerOfTwoLadder, singleBucket } from "./buckets.ts";
export {
  type CachedCompileOptions,
  CompileCache,
  type CompileCacheOptions,
  type CompileSource,
  type SyncCompileOptions,
} from "./compile-cache.ts";
export type { CacheStats } from "./compiled-lru.ts";
export * from "./errors.ts";
export { type CompileKey, compileKey, type KeyOptions, keyText } from "./key.ts";
export { BucketLease, CompiledLease } from "./lease.ts";
export type { CacheRunInput, PaddedInput } from "./padded.ts";
export { padRows, sliceRows } from "./rows.ts";
export type { ParamTensors } from "./shared-params.ts";
