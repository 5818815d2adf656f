import { byteLength, type Graph, type Node, RlxError, runReference, Tensor } from "@rlxjs/ir";
import type { Work } from "../task.ts";
import { GraphView } from "./graph-view.ts";
import type { Pass, PassContext } from "./pass.ts";
import { rewriteGraph } from "./rewriter.ts";

/**
 * Evaluate nodes whose operands are constants by calling their references, so that folding and the specification agree. Constant
 * values that are larger than the limit stay expressions, which are evaluated when a graph is prepared.
 */
export const fold: Pass = {
  name: "fold",
  *run(graph: Graph, context: PassContext): Work<Graph> {
    const view = GraphView.of(graph);
    const known: (Tensor | undefined)[] = [];
    for (const node of graph.nodes) {
      foldNode(view, node, known, context);
      yield;
    }
    if (!graph.nodes.some((n) => view.def(n).traits.leaf === undefined && n.outputs.some((v) => known[v]))) return graph;
    return yield* rewriteGraph(view, (node, rewriter) => {
      if (view.def(node).traits.leaf !== undefined) return false;
      const tensors = node.outputs.map((v) => known[v]);
      if (!tensors.every((t) => t !== undefined)) return false;
      rewriter.builder.origin = node.origin;
      for (const [i, v] of node.outputs.entries()) if (tensors[i]) rewriter.bind(v, rewriter.builder.constant(tensors[i]));
      context.applied(node.op);
      return true;
    });
  },
};

/** Note the tensors of a node's outputs when they are known and small. */
function foldNode(view: GraphView, node: Node, known: (Tensor | undefined)[], { options, missed }: PassContext): void {
  const def = view.def(node);
  const [out = -1] = node.outputs;
  if (def.traits.leaf !== undefined) {
    if (def.traits.leaf === "constant") known[out] = view.constant(out);
    return;
  }
  const inputs = node.inputs.map((v) => known[v]);
  const absent = (i: number): boolean => node.inputs[i] === -1;
  if (!view.isPrepared(node) || !inputs.every((t, i) => t !== undefined || absent(i))) return;
  const shapes = view.outputTypes(node).map((t) => t.shape.filter((d) => typeof d === "number"));
  const outs = view.outputTypes(node).map((t, i) => ({ dtype: t.dtype, shape: shapes[i] ?? [] }));
  const bytes = [...inputs, ...outs].reduce((sum, t) => sum + (t ? byteLength(t.dtype, t.shape) : 0), 0);
  if (bytes > options.maxFoldBytes) return;
  try {
    const tensors = outs.map((t) => Tensor.zeros(t.dtype, t.shape));
    runReference(def, inputs, node.attrs, tensors);
    for (const [i, v] of node.outputs.entries()) known[v] = tensors[i];
  } catch (error) {
    // What fails on constants must fail when it runs, not when it is compiled.
    if (!(error instanceof RlxError)) throw error;
    missed("fold", node, "shape", error.message);
  }
}
