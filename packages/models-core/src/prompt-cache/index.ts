export { PromptCacheError } from "./errors.ts";
export { decodePromptCache, encodePromptCache } from "./format.ts";
export { entryBytes, PromptCache, type PromptCacheOptions, type PromptCacheStats, type PromptEntry } from "./prompt-cache.ts";
