export * from "./checkpoint.ts";
export { readGgufConfig } from "./config/gguf-config.ts";
export { readHfConfig } from "./config/hf-config.ts";
export * from "./config/model-config.ts";
export { type RopeFrequencies, ropeFrequencies } from "./config/rope-frequencies.ts";
export * from "./convert.ts";
export { KvCacheError, ModelConfigError, ModelFileError, TokenizerError } from "./errors.ts";
export * from "./gguf/index.ts";
export { type JsonObject, readJson, readJsonFile } from "./json.ts";
export { canonicalCheckpoint, type GgufName, ggufName, hfName } from "./names.ts";
export { openSafetensors, openSafetensorsDirectory } from "./safetensors.ts";
export { writeSafetensors } from "./safetensors-write.ts";
export * from "./source.ts";
export * from "./tokenizer/index.ts";
export { cacheNames, type DecoderPlan, type EncoderPlan, families, type Family, type HasWeight } from "./families/index.ts";
export * from "./generation/generate.ts";
export { argmax, GenerationOptionError, Sampler, type SamplingOptions } from "./generation/sampler.ts";
export {
  type AppendOptions,
  commonPrefix,
  type NextToken,
  type SequenceSnapshot,
  type SnapshotSequence,
  type TokenSequence,
} from "./generation/sequence.ts";
export { StopMatcher } from "./generation/stop.ts";
export type { GraphStats } from "./model/graph-set.ts";
export { type KvCacheOption, type KvFormats, kvBytesPerToken, kvFormatsOf } from "./model/kv-formats.ts";
export * from "./model/language-model.ts";
export * from "./kv/index.ts";
export * from "./speculative/index.ts";
export * from "./prompt-cache/index.ts";
