export { acceptDraft, acceptExact, type Distribution, type DraftVerdict, residualDistribution } from "./accept.ts";
export { boxJudge, type BoxTokens } from "./box-judge.ts";
export {
  type BlockCounts,
  type BlockDecodeOptions,
  type BlockJudge,
  type BlockModel,
  type BlockPiece,
  type BlockRun,
  type BlockSlab,
  type BlockVerdict,
  decodeBlocks,
  blockProbabilities,
} from "./decode-blocks.ts";
export { type Draft, type Drafter, modelDrafter, promptLookup, type PromptLookupOptions } from "./drafter.ts";
export { SpeculativeError } from "./errors.ts";
export {
  causalBias,
  incrementalBias,
  type IncrementalBiasOptions,
  replicateBias,
  textMaskBias,
  windowBias,
  type WindowBiasOptions,
} from "./masks.ts";
export type { DraftModel, SpeculativeOptions, Vocabulary } from "./options.ts";
export { Speculation, type SpeculationCounts, type StepContext } from "./speculate.ts";
