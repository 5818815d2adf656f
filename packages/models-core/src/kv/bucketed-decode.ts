import type { BucketBuild, CompileSource, GraphWithParams, HirWithParams } from "@rlxjs/runtime";
import { reserve } from "./decode-call.ts";
import { type KvDecodeOptions, type KvDecodeResult, type FindBucket, needBucket, stepOnHost } from "./decode-step.ts";
import { KvStateError } from "./errors.ts";
import { prefillCacheKey, splitCacheKey } from "./keys.ts";

/*
 * Decode with the rows of the cache on the host: the graph of the bucket that the past is in runs on the past and the new tokens, and the
 * rows that it made are appended. The forms differ in how a bucket's graph is made and found. OutOfBucketError for a past in no bucket.
 */

/** Decode by graphs with params, in the bucket of `kv.pastLen`. */
export function runBucketedKvDecode(options: KvDecodeOptions & { readonly build: BucketBuild<GraphWithParams> }): Promise<KvDecodeResult> {
  return runBucketedKvDecodeKeyed({ ...options, key: options.kv.pastLen });
}

/** The same in the bucket of another key. */
export function runBucketedKvDecodeKeyed(
  options: KvDecodeOptions & { readonly key: number; readonly build: BucketBuild<GraphWithParams> },
): Promise<KvDecodeResult> {
  const { cache, build, key } = options;
  return decode(key, (k) => cache.ensureGraphWithParams(k, build, signalOf(options)), options);
}

/** The same in the bucket of `prefillCacheKey(kv.batch, kv.pastLen)`: see `batchedBuckets`. */
export async function runBucketedKvDecodeKeyedBatched(
  options: KvDecodeOptions & { readonly build: (upper: number, batch: number) => GraphWithParams | Promise<GraphWithParams> },
): Promise<KvDecodeResult> {
  const { kv, build } = options;
  const ofKey: BucketBuild<GraphWithParams> = (key) => {
    const { batch, seq } = splitCacheKey(key);
    return build(seq, batch);
  };
  return runBucketedKvDecodeKeyed({ ...options, key: prefillCacheKey(kv.batch, kv.pastLen), build: ofKey });
}

/** Decode by graphs or modules whose weights, packed ones too, are in the WeightStore of `cache`. */
export function runBucketedKvDecodePacked(
  options: KvDecodeOptions & { readonly build: BucketBuild<CompileSource> },
): Promise<KvDecodeResult> {
  const { cache, build, kv } = options;
  return decode(kv.pastLen, (k) => cache.getOrCompile(k, build, signalOf(options)), options);
}

/** Decode by HIR modules with params. */
export function runBucketedKvDecodeHir(options: KvDecodeOptions & { readonly build: BucketBuild<HirWithParams> }): Promise<KvDecodeResult> {
  const { cache, build, kv } = options;
  return decode(kv.pastLen, (k) => cache.ensureHirWithParams(k, build, signalOf(options)), options);
}

/** The same for layers of different widths, which `build` is told. */
export async function runBucketedKvDecodeHirLayers(
  options: KvDecodeOptions & {
    readonly kvDims: readonly number[];
    readonly build: (upper: number, kvDims: readonly number[]) => HirWithParams | Promise<HirWithParams>;
  },
): Promise<KvDecodeResult> {
  const { kv, kvDims, build } = options;
  if (kvDims.join() !== kv.kvDims.join()) throw new KvStateError(`kvDims: expected ${kv.kvDims}, as in the cache, got ${kvDims}`);
  return runBucketedKvDecodeHir({ ...options, build: (upper) => build(upper, kvDims) });
}

async function decode(key: number, find: FindBucket, options: KvDecodeOptions): Promise<KvDecodeResult> {
  using _ = reserve(options.kv);
  using lease = await needBucket(`past ${options.kv.pastLen}`, key, find, options);
  return await stepOnHost(lease.compiled, options);
}

/** For options that do not take `undefined`. */
export const signalOf = ({ signal }: { readonly signal?: AbortSignal }): { readonly signal?: AbortSignal } => (signal ? { signal } : {});
