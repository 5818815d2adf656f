export * from "./files.ts";
export * from "./convert.ts";
export * from "./load-model.ts";
export * from "./prompt-cache.ts";
export * from "./program-cache.ts";
