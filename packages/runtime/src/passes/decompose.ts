import {
  type AnyOpDef,
  type AttrRecord,
  type DecomposeBuilder,
  type Graph,
  graphBuilder,
  namedInputs,
  NONE,
  type Node,
  type Value,
} from "@rlxjs/ir";
import type { NodeView } from "../backend.ts";
import { GraphView, isView } from "./graph-view.ts";
import { type KernelSet, nodeView } from "./kernels.ts";
import type { Pass } from "./pass.ts";
import { type Rewriter, rewriteGraph } from "./rewriter.ts";

/** A node that was replaced by nodes that the backend has kernels for. */
export interface Decomposition {
  readonly op: string;
  readonly into: readonly string[];
  /** Why the op itself is not native. */
  readonly reason: string;
  readonly label?: string;
  readonly origin?: string;
}

interface Parts {
  readonly graph: Graph;
  readonly choices: ReadonlyMap<number, Choice>;
}
/** The decision for one node. `view`: no work; `prepared`: evaluated once, from weights. */
export type Choice =
  | { readonly kind: "native" | "view" | "prepared" }
  | { readonly kind: "decomposed"; readonly parts: Parts; readonly reason: string }
  | { readonly kind: "reference"; readonly reason: string };

/** Deeper nesting of decompositions than this is a cycle in the op table. */
const MAX_DEPTH = 8;

/**
 * Replace nodes that the backend has no kernel for by their decomposition, again and again. A decomposition counts only when all of
 * its parts are native in the end, since the whole op's reference is faster and closer to the specification than the references
 * of its parts. What was replaced is added to `done`.
 */
export const decomposePass = (done: Decomposition[]): Pass => ({
  name: "decompose",
  *run(graph, context) {
    const view = context.view(graph);
    const chosen = new Map<Node, Extract<Choice, { kind: "decomposed" }>>();
    for (const node of graph.nodes) {
      yield;
      if (view.def(node).traits.leaf !== undefined) continue;
      const choice = choose(view, node, context.kernels);
      if (choice.kind === "decomposed") chosen.set(node, choice);
    }
    if (chosen.size === 0) return graph;
    return yield* rewriteGraph(view, (node, rewriter) => {
      const choice = chosen.get(node);
      if (!choice) return false;
      const values = inline(choice.parts, rewriter, rewriter.values(node.inputs), node);
      for (const [i, value] of values.entries()) rewriter.bind(node.outputs[i] ?? NONE, value);
      const { op, label, origin } = node;
      const where = { ...(label === undefined ? {} : { label }), ...(origin === undefined ? {} : { origin }) };
      done.push({ op, into: primitives(choice.parts), reason: choice.reason, ...where });
      context.applied(op);
      return true;
    });
  },
});

/** What to do with a node. */
export function choose(view: GraphView, node: Node, kernels: KernelSet, depth = 0): Choice {
  if (view.isPrepared(node)) return { kind: "prepared" };
  const def = view.def(node);
  if (isView(def, node.attrs, view.inputTypes(node))) return { kind: "view" };
  const planned = nodeView(view, node);
  const kernel = kernels.select(planned);
  if (typeof kernel !== "string") return { kind: "native" };
  const parts = decompose(planned, view, node, kernels, depth);
  return typeof parts === "string" ? { kind: "reference", reason: `${kernel}; ${parts}` } : { kind: "decomposed", parts, reason: kernel };
}

/** The op from primitives that are all native, or why not. */
function decompose({ def, attrs, inputs }: NodeView, view: GraphView, node: Node, kernels: KernelSet, depth: number): Parts | string {
  if (!def.decompose) return "it has no decomposition";
  if (kernels.empty || depth === MAX_DEPTH) return "its decomposition is not native";
  const b = graphBuilder(def.name);
  const operands = inputs.map((t, slot): Value | undefined => {
    if (!t) return undefined;
    if (t.value) return b.constant(t.value);
    const kind = t.weight ? "param" : view.isState(node.inputs[slot] ?? NONE) ? "state" : "input";
    return b[kind](`${slot}`, t.dtype, t.shape);
  });
  const result = def.decompose(b as DecomposeBuilder, namedInputs(def, operands) as never, attrs as never);
  if (result === undefined) return "it has no decomposition for these operands";
  const made = outputsOf(def, result);
  for (const [i, value] of made.entries()) b.output(`${i}`, value);
  const graph = b.build();
  const inner = GraphView.of(graph);
  const choices = new Map<number, Choice>();
  for (const part of graph.nodes) {
    if (inner.def(part).traits.leaf !== undefined) continue;
    const choice = choose(inner, part, kernels, depth + 1);
    if (choice.kind === "reference") return `in its decomposition ${part.op}: ${choice.reason}`;
    choices.set(part.id, choice);
  }
  return { graph, choices };
}

const outputsOf = (def: AnyOpDef, result: unknown): Value[] =>
  def.outputs.length === 1 ? [result as Value] : (def.outputs as string[]).map((name) => (result as Record<string, Value>)[name] as Value);

/** Add the parts of a decomposition to the new graph; gives the new values of the node's outputs. */
function inline(parts: Parts, rewriter: Rewriter, operands: readonly (Value | undefined)[], from: Node): Value[] {
  const { graph, choices } = parts;
  const view = GraphView.of(graph);
  const made: (Value | undefined)[] = [];
  const use = (id: number): Value | undefined => (id === NONE ? undefined : made[id]);
  for (const part of graph.nodes) {
    const def = view.def(part);
    const inner = choices.get(part.id);
    const inputs = part.inputs.map(use);
    const values =
      inner?.kind === "decomposed"
        ? inline(inner.parts, rewriter, inputs, from)
        : inner
          ? rewriter.emit(def, inputs, part.attrs, from)
          : leafValues(part, view, rewriter, operands);
    for (const [i, id] of part.outputs.entries()) made[id] = values[i];
  }
  return graph.outputs.map((o) => made[o.value]).filter((v) => v !== undefined);
}

/** Leaves of a decomposition stand for the operands of their slot; constants are its own, or equal to an operand. */
function leafValues(leaf: Node, view: GraphView, rewriter: Rewriter, operands: readonly (Value | undefined)[]): (Value | undefined)[] {
  const [out = NONE] = leaf.outputs;
  const tensor = view.constant(out);
  return [tensor ? rewriter.builder.constant(tensor) : operands[Number((leaf.attrs as AttrRecord).name)]];
}

const primitives = ({ graph, choices }: Parts): string[] =>
  [...choices].flatMap(([id, part]) => (part.kind === "decomposed" ? primitives(part.parts) : [graph.nodes[id]?.op ?? ""]));
