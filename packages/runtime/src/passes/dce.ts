import type { Graph } from "@rlxjs/ir";
import type { Work } from "../task.ts";
import type { GraphView } from "./graph-view.ts";
import type { Pass } from "./pass.ts";
import { rewriteGraph } from "./rewriter.ts";

/**
 * Nodes (by id) that must stay: what the outputs need, state writes, impure ops, and the graph's signature (inputs and states).
 * Unused params and constants go.
 */
function liveNodes(view: GraphView): ReadonlySet<number> {
  const live = new Set<number>();
  const pending: number[] = view.graph.outputs.map((o) => view.type(o.value).node);
  for (const node of view.graph.nodes) {
    const { leaf, writes, impure } = view.def(node).traits;
    if (leaf === "input" || leaf === "state" || writes !== undefined || impure) pending.push(node.id);
  }
  for (let id = pending.pop(); id !== undefined; id = pending.pop()) {
    if (live.has(id)) continue;
    live.add(id);
    for (const input of view.graph.nodes[id]?.inputs ?? []) if (input >= 0) pending.push(view.type(input).node);
  }
  return live;
}

/** Drop nodes whose results nobody needs. */
export const dce: Pass = {
  name: "dce",
  *run(graph: Graph, context): Work<Graph> {
    const view = context.view(graph);
    const live = liveNodes(view);
    if (live.size === graph.nodes.length) return graph;
    return yield* rewriteGraph(view, (node) => !live.has(node.id));
  },
};
