import type { Graph, Node } from "@rlxjs/ir";
import type { Work } from "../task.ts";
import type { GraphView } from "./graph-view.ts";
import type { Pass } from "./pass.ts";
import { rewriteGraph } from "./rewriter.ts";

/** Leaves first, then what depends on weights only, then the rest as it was: so weights are there wherever a pass needs them. */
export const order: Pass = {
  name: "order",
  *run(graph: Graph, context): Work<Graph> {
    const view = context.view(graph);
    const rank = graph.nodes.map((n) => rankOf(view, n));
    if (rank.every((r, i) => i === 0 || (rank[i - 1] ?? 0) <= r)) return graph;
    return yield* rewriteGraph(
      view,
      () => false,
      [...graph.nodes].sort((a, b) => (rank[a.id] ?? 0) - (rank[b.id] ?? 0)),
    );
  },
};

const rankOf = (view: GraphView, node: Node): number => (view.def(node).traits.leaf !== undefined ? 0 : view.isPrepared(node) ? 1 : 2);
