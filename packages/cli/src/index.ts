/** What most programs need, in one import; the cpu device is registered by it. */
import "@rlxjs/backend-cpu";

export * from "@rlxjs/ir";
export * from "@rlxjs/models-core";
export * from "@rlxjs/models-core/node";
export * from "@rlxjs/runtime";
// Graphs and compiled graphs both have outputs; programs meet the latter.
export type { Outputs } from "@rlxjs/runtime";
