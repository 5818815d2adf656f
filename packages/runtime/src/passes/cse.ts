import { attrText, type Graph, NONE, type Node } from "@rlxjs/ir";
import type { Work } from "../task.ts";
import type { Pass, PassContext } from "./pass.ts";
import { rewriteGraph } from "./rewriter.ts";

/**
 * Nodes of one op over the same values with the same attributes are one node; the first keeps its label and origin. State versions
 * are values, so reads before and after a write differ by themselves; writes and impure ops are never merged.
 */
export const cse: Pass = {
  name: "cse",
  *run(graph: Graph, context: PassContext): Work<Graph> {
    const view = context.view(graph);
    /** The first value that equals each value. */
    const first = graph.values.map((_, id) => id);
    const seen = new Map<string, Node>();
    const duplicates = new Map<number, Node>();
    for (const node of graph.nodes) {
      yield;
      const { traits } = view.def(node);
      if (traits.writes !== undefined || traits.impure || traits.leaf === "input" || traits.leaf === "state") continue;
      const inputs = node.inputs.map((v) => (v === NONE ? NONE : (first[v] ?? v)));
      const [a = NONE, b = NONE] = inputs;
      if (traits.commutative && a > b) inputs.splice(0, 2, b, a);
      const key = `${node.op}(${inputs})${attrText(node.attrs)}`;
      const same = seen.get(key);
      if (!same) seen.set(key, node);
      else {
        duplicates.set(node.id, same);
        for (const [i, v] of node.outputs.entries()) first[v] = same.outputs[i] ?? v;
      }
    }
    if (duplicates.size === 0) return graph;
    return yield* rewriteGraph(view, (node, rewriter) => {
      const same = duplicates.get(node.id);
      if (!same) return false;
      for (const [i, v] of node.outputs.entries()) rewriter.bind(v, rewriter.value(same.outputs[i] ?? v));
      context.applied(node.op);
      return true;
    });
  },
};
