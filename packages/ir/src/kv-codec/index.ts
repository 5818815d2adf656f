export * from "./codec.ts";
export * from "./format.ts";
export * from "./hadamard.ts";
