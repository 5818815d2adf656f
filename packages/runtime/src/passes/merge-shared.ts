import { addDims, attrText, type Dim, type Graph, type InputSpec, NONE, type Node, ops, type Value } from "@rlxjs/ir";
import type { Work } from "../task.ts";
import type { OperandView } from "../backend.ts";
import { type GraphView, isView } from "./graph-view.ts";
import { planNode } from "./kernels.ts";
import type { Pass, PassContext } from "./pass.ts";
import { rewriteGraph } from "./rewriter.ts";

const pattern = "merge shared input";

interface Slots {
  readonly shared: number;
  readonly weight: number;
  readonly axis: number;
}

/**
 * y1 = f(x, A), y2 = f(x, B)... = slices of f(x, concat([A, B...])): one pass over x, one kernel call. The concat depends on weights
 * only, so it is done once, when the graph is prepared. A weight that something else reads too stays as it is, lest it be stored twice.
 */
export const mergeShared: Pass = {
  name: "merge-shared",
  *run(graph: Graph, context: PassContext): Work<Graph> {
    const view = context.view(graph);
    const groups = new Map<string, Node[]>();
    for (const node of graph.nodes) {
      yield;
      const slots = slotsOf(view, node);
      if (!slots || !mayMerge(view, node, slots)) continue;
      const weight = view.type(node.inputs[slots.weight] ?? NONE);
      const key = `${node.op} ${node.inputs[slots.shared]} ${weight.dtype} ${attrText(node.attrs)}`;
      const group = groups.get(key);
      if (group) group.push(node);
      else groups.set(key, [node]);
    }
    const merged = new Map<Node, readonly Node[]>();
    for (const group of groups.values()) {
      const [first] = group;
      if (!first || group.length < 2) continue;
      const refusal = refused(view, group, context);
      if (refusal === undefined) for (const node of group) merged.set(node, group);
      else context.missed(pattern, first, "backend", refusal);
    }
    if (merged.size === 0) return graph;
    return yield* rewriteGraph(view, (node, rewriter) => {
      const group = merged.get(node);
      const slots = slotsOf(view, node);
      if (!group || !slots) return false;
      if (group[0] !== node) return true;
      const weights = group.map((n) => rewriter.value(n.inputs[slots.weight] ?? NONE));
      const [packed] = rewriter.emit(ops.concat, weights, { axis: slots.axis }, node);
      const inputs = rewriter.values(node.inputs).with(slots.weight, packed);
      const [all] = rewriter.emit(view.def(node), inputs, node.attrs, { ...node, ...mergedLabel(group) });
      let start: Dim = 0;
      for (const [i, member] of group.entries()) {
        const size: Dim = weights[i]?.shape[slots.axis] ?? 0;
        const [part] = rewriter.emit(ops.slice, [all], { axis: -1, start, size }, member);
        rewriter.bind(member.outputs[0] ?? NONE, part as Value);
        start = addDims(start, size);
      }
      context.applied(pattern);
      return true;
    });
  },
};

function slotsOf(view: GraphView, node: Node): Slots | undefined {
  const { inputs, traits } = view.def(node);
  const { mergeable } = traits;
  if (!mergeable) return undefined;
  const slot = (name: string): number => (inputs as readonly InputSpec[]).findIndex((s) => s.name === name);
  return { shared: slot(mergeable.shared), weight: slot(mergeable.weight), axis: mergeable.axis };
}

function mayMerge(view: GraphView, node: Node, { shared, weight }: Slots): boolean {
  const [x = NONE, w = NONE] = [node.inputs[shared], node.inputs[weight]];
  const alone = node.inputs.every((v, i) => i === shared || i === weight || v === NONE);
  return alone && w !== NONE && !view.isWeight(x) && view.isWeight(w) && view.soleUser(w) === node;
}

/** Why the backend does not take the merged node or its slices; undefined when it does. */
function refused(view: GraphView, group: readonly Node[], { kernels }: PassContext): string | undefined {
  const [first] = group;
  const slots = first && slotsOf(view, first);
  if (!first || !slots) return "nothing to merge";
  const weights = group.map((n) => view.operand(n.inputs[slots.weight] ?? NONE));
  const packed = planNode(ops.concat, weights, { axis: slots.axis });
  if (typeof packed === "string") return packed;
  const operands = view.operands(first.inputs).map((t, i): OperandView | undefined => {
    const [type] = packed.outputs;
    return i === slots.weight && type ? { ...type, weight: true } : t;
  });
  const all = kernels.probe(view.def(first), operands, first.attrs);
  if (typeof all === "string") return all;
  const [out] = all.outputs;
  const attrs = { axis: -1, start: 0, size: weights[0]?.shape[slots.axis] ?? 0 };
  if (!out || isView(ops.slice, attrs, [out])) return undefined;
  const slice = kernels.probe(ops.slice, [{ ...out, weight: false }], attrs);
  return typeof slice === "string" ? slice : undefined;
}

const mergedLabel = (group: readonly Node[]): { label?: string } => {
  const labels = group.flatMap((n) => (n.label === undefined ? [] : [n.label]));
  return labels.length === 0 ? {} : { label: labels.join("+") };
};
