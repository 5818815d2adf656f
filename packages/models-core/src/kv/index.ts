export {
  runBucketedKvDecode,
  runBucketedKvDecodeHir,
  runBucketedKvDecodeHirLayers,
  runBucketedKvDecodeKeyed,
  runBucketedKvDecodeKeyedBatched,
  runBucketedKvDecodePacked,
} from "./bucketed-decode.ts";
export { runBucketedKvDecodeGpu, runBucketedKvDecodeGpuHir } from "./bucketed-decode-gpu.ts";
export { type MtpResult, runBucketedKvMtp, runBucketedKvMtpGpu } from "./bucketed-mtp.ts";
export { crossAttnGpuHandlesReady, type CrossAttnKv, installCrossAttnGpuHandles } from "./cross-attention.ts";
export type { KvDecodeInputs, KvDecodeSpan } from "./decode-call.ts";
export type { KvDecodeOptions, KvDecodeResult, KvStepOptions } from "./decode-step.ts";
export { DecodeGraphError, KvStateError, OutOfBucketError } from "./errors.ts";
export { GpuKvBinding, installGpuKvHandles, reinstallGpuKvHandles, syncGpuKvToHost } from "./gpu-binding.ts";
export { GpuKvCacheSet } from "./gpu-kv-set.ts";
export { batchedBuckets, prefillCacheKey, splitCacheKey } from "./keys.ts";
export { type KvCacheInit, KvCacheState } from "./kv-state.ts";
export { bucketDecodeMask, bucketDecodeMaskWindowed, type KvMaskOptions } from "./masks.ts";
export { crossKvInputNames, pastKvInputNames } from "./names.ts";
export {
  compactBucketedKvBuffer,
  inferPrefillKvSeq,
  kvFromPrefillOutputs,
  splitDecodeLogitsKv,
  splitDecodeLogitsKvAux,
  type SplitOutputs,
} from "./outputs.ts";
export { type KvPrefillOptions, runPackedPrefill } from "./prefill.ts";
export type { KvRows } from "./row-buffer.ts";
export type { KvDecodeGpuOptions } from "./resident-step.ts";
