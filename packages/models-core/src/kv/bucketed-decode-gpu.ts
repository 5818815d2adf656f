import type { BucketBuild, GraphWithParams, HirWithParams } from "@rlxjs/runtime";
import { signalOf } from "./bucketed-decode.ts";
import { reserve } from "./decode-call.ts";
import type { KvDecodeResult, FindBucket } from "./decode-step.ts";
import { type KvDecodeGpuOptions, stepOnDevice } from "./resident-step.ts";

/**
 * Decode by graphs with params, the rows of the cache staying on the device: one call into it per step, of which the host reads the
 * logits. Rows come from the host at the first step and move within the device from bucket to bucket. `syncGpuKvToHost` brings them back.
 */
export function runBucketedKvDecodeGpu(
  options: KvDecodeGpuOptions & { readonly build: BucketBuild<GraphWithParams> },
): Promise<KvDecodeResult> {
  const { cache, build } = options;
  return decode((key) => cache.ensureGraphWithParams(key, build, signalOf(options)), options);
}

/** The same by HIR modules. */
export function runBucketedKvDecodeGpuHir(
  options: KvDecodeGpuOptions & { readonly build: BucketBuild<HirWithParams> },
): Promise<KvDecodeResult> {
  const { cache, build } = options;
  return decode((key) => cache.ensureHirWithParams(key, build, signalOf(options)), options);
}

async function decode(find: FindBucket, options: KvDecodeGpuOptions): Promise<KvDecodeResult> {
  using _ = reserve(options.kv);
  return await stepOnDevice(`past ${options.kv.pastLen}`, find, options);
}
