import { define } from "./builder.ts";
import type { Graph as AnyGraph } from "./graph.ts";

export type Graph<Out extends string = string> = AnyGraph<Out>;
/** `Graph.define(name, g => ...)`: build a graph in one expression. */
export const Graph = { define } as const;
