/** What most programs need, in one import; the cpu and metal devices are registered by it. */
import "./backends.ts";

export * from "@rlxjs/ir";
export * from "@rlxjs/models-core";
export * from "@rlxjs/models-core/node";
export * from "@rlxjs/runtime";
// Graphs and compiled graphs both have outputs; programs meet the latter.
export type { Outputs } from "@rlxjs/runtime";
