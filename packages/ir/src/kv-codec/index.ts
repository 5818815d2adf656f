export * from "./cache.ts";
export * from "./codec.ts";
export * from "./hadamard.ts";
