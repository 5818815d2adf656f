import { type Graph, NONE, type Node, ops, shapeEquals } from "@rlxjs/ir";
import type { Work } from "../task.ts";
import { isCheap, staysInRegister } from "./body.ts";
import type { GraphView } from "./graph-view.ts";
import { bodyOf, composeMembers } from "./members.ts";
import type { Pass, PassContext } from "./pass.ts";
import { rewriteGraph } from "./rewriter.ts";

const pattern = "elementwise region";

/**
 * Fuse elementwise nodes into regions with one result. A region grows from its result towards its operands and takes in a node when
 *  - all readers of the node are in the region (a value that something else reads is stored anyway: read it, do not compute it twice);
 *  - it computes in the same class of registers, and its result may stay in one (see body.ts);
 *  - it has the result's shape, or it is cheap enough to be computed again for every element that it is broadcast to;
 *  - no state that it reads is written before the region runs, which is where its result was made;
 *  - the region stays within its limits of operands and steps.
 */
export const regions: Pass = {
  name: "regions",
  *run(graph: Graph, context: PassContext): Work<Graph> {
    if (!context.kernels.has("region")) return graph;
    const view = context.view(graph);
    const taken = new Set<number>();
    const plans = new Map<Node, ReturnType<typeof composeMembers>>();
    for (const root of [...graph.nodes].reverse()) {
      yield;
      if (taken.has(root.id)) continue;
      const members = grow(view, root, context);
      if (members.length < 2) continue;
      const compute = bodyOf(view, root)?.compute ?? "f32";
      const plan = composeMembers(view, members, compute);
      const answer = context.kernels.probe(ops.region, view.operands(plan.operands), attrsOf(view, root, plan));
      if (typeof answer === "string") {
        context.missed(pattern, root, "backend", answer);
        continue;
      }
      for (const member of members) taken.add(member.id);
      plans.set(root, plan);
      context.applied(pattern);
    }
    if (plans.size === 0) return graph;
    return yield* rewriteGraph(view, (node, rewriter) => {
      const plan = plans.get(node);
      if (!plan) return taken.has(node.id);
      const [value] = rewriter.emit(ops.region, rewriter.values(plan.operands), attrsOf(view, node, plan), node);
      if (value) rewriter.bind(node.outputs[0] ?? NONE, value);
      return true;
    });
  },
};

const attrsOf = (view: GraphView, root: Node, { body }: ReturnType<typeof composeMembers>) => ({
  body,
  dtypes: view.outputTypes(root).map((t) => t.dtype),
});

/** The members of the region that ends in `root`, in order; empty when `root` is not elementwise. */
function grow(view: GraphView, root: Node, { options, missed }: PassContext): Node[] {
  const top = bodyOf(view, root);
  if (!top) return [];
  const { shape } = view.type(root.outputs[0] ?? NONE);
  const members = new Set([root]);
  const pending = new Map<number, Node>();
  const propose = (node: Node): void => {
    for (const v of node.inputs) pending.set(view.producer(v).id, view.producer(v));
  };
  propose(root);
  // In descending order, all readers of a node are decided before the node itself is.
  while (pending.size > 0) {
    const id = Math.max(...pending.keys());
    const node = pending.get(id);
    pending.delete(id);
    const body = node && bodyOf(view, node);
    const [out = NONE] = node?.outputs ?? [];
    if (!node || !body || body.compute !== top.compute) continue;
    if (!staysInRegister(body, view.type(out).dtype)) {
      missed(pattern, node, "dtype", `a ${view.type(out).dtype} result does not stay in a register`);
    } else if (view.isOutput(out) || !view.users(out).every((user) => members.has(user))) {
      missed(pattern, node, "multi-consumer", "its result has readers outside the region");
    } else if (!shapeEquals(view.type(out).shape, shape) && !isCheap(body)) {
      missed(pattern, node, "shape", "it would be computed again for every element that it is broadcast to");
    } else if (node.inputs.some((v) => view.overwrittenBefore(v, root.id))) {
      missed(pattern, node, "order", "it reads a state that is written before the region runs");
    } else {
      members.add(node);
      const all = [...members].sort((a, b) => a.id - b.id);
      const { body: whole, operands } = composeMembers(view, all, top.compute);
      if (operands.length > options.maxRegionInputs || whole.steps.length > options.maxRegionSteps) {
        members.delete(node);
        missed(pattern, node, "limit", `the region would have ${operands.length} operands and ${whole.steps.length} steps`);
      } else propose(node);
    }
  }
  return [...members].sort((a, b) => a.id - b.id);
}
