import type { Graph, Node } from "@rlxjs/ir";
import type { GraphView } from "./graph-view.ts";
import type { Pass } from "./pass.ts";
import { Rewriter } from "./rewriter.ts";

/** Leaves first, then what depends on weights only, then the rest as it was: so weights are there wherever a pass needs them. */
export const order: Pass = {
  name: "order",
  run(graph: Graph, context): Graph {
    const view = context.view(graph);
    const rank = graph.nodes.map((n) => rankOf(view, n));
    if (rank.every((r, i) => i === 0 || (rank[i - 1] ?? 0) <= r)) return graph;
    const rewriter = new Rewriter(view);
    for (const wanted of [0, 1, 2]) for (const node of graph.nodes) if (rank[node.id] === wanted) rewriter.copy(node);
    return rewriter.finish();
  },
};

const rankOf = (view: GraphView, node: Node): number => (view.def(node).traits.leaf !== undefined ? 0 : view.isPrepared(node) ? 1 : 2);
