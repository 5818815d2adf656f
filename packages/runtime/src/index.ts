export * from "./backend.ts";
export * from "./program.ts";
export { type CompiledPasses, compileGraph } from "./passes/compile.ts";
export { PassError, UnsupportedOpsError } from "./passes/errors.ts";
export type { DispatchChoice, DispatchEntry, DispatchReport } from "./passes/legalise.ts";
export { defaultPassOptions, type PassOptions } from "./passes/options.ts";
export type { Miss, MissReason, PassStats } from "./passes/pass.ts";
