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
import { UnsupportedOpsError } from "./errors.ts";
import { GraphView, isView } from "./graph-view.ts";
import { type KernelSet, nodeView } from "./kernels.ts";
import type { PassOptions } from "./options.ts";
import { Rewriter } from "./rewriter.ts";

/** How a node of the source graph is carried out. `view`: no work; `prepared`: evaluated once, from weights. */
export type DispatchChoice = "native" | "view" | "prepared" | "decomposed" | "reference";

export interface DispatchEntry {
  readonly op: string;
  readonly choice: DispatchChoice;
  /** Why not native, or what stands in. */
  readonly reason?: string;
  /** The ops that a decomposed node became. */
  readonly into?: readonly string[];
  readonly label?: string;
  readonly origin?: string;
}

/** One entry for each node of the fused graph that is not a leaf, in order. */
export interface DispatchReport {
  readonly entries: readonly DispatchEntry[];
  readonly counts: Readonly<Record<DispatchChoice, number>>;
}

/** The decision for one node; a decomposition carries the decisions for its parts. */
type Choice =
  | { readonly kind: "native" | "view" | "prepared" }
  | { readonly kind: "decomposed"; readonly graph: Graph; readonly parts: ReadonlyMap<number, Choice>; readonly reason: string }
  | { readonly kind: "reference"; readonly reason: string };

/** Deeper nesting of decompositions than this is a cycle in the op table. */
const MAX_DEPTH = 8;

/**
 * Make every node one that the backend has a kernel for: as it is, else decomposed into such nodes, else left as a step that runs
 * the op's reference. A decomposition counts only when all of its parts are native, since the whole op's reference is faster
 * and closer to the specification than the references of its parts.
 */
export function legalise(graph: Graph, kernels: KernelSet, options: PassOptions): { graph: Graph; report: DispatchReport } {
  const view = GraphView.of(graph, options.hoistWeights);
  const rewriter = new Rewriter(view);
  const entries: DispatchEntry[] = [];
  for (const node of graph.nodes) {
    if (view.def(node).traits.leaf !== undefined) {
      rewriter.copy(node);
      continue;
    }
    const choice = choose(view, node, kernels, 0);
    entries.push(entry(node, choice));
    if (choice.kind !== "decomposed") rewriter.copy(node);
    else
      for (const [i, value] of inline(choice, rewriter, rewriter.values(node.inputs), node).entries())
        rewriter.bind(node.outputs[i] ?? NONE, value);
  }
  const unsupported = options.forbidReference ? entries.filter((e) => e.choice === "reference") : [];
  if (unsupported.length > 0) throw new UnsupportedOpsError(graph.name, unsupported);
  const counts: Record<DispatchChoice, number> = { native: 0, view: 0, prepared: 0, decomposed: 0, reference: 0 };
  for (const { choice } of entries) counts[choice]++;
  const changed = counts.decomposed > 0;
  return { graph: changed ? rewriter.finish() : graph, report: { entries, counts } };
}

function choose(view: GraphView, node: Node, kernels: KernelSet, depth: number): Choice {
  if (view.isPrepared(node)) return { kind: "prepared" };
  const def = view.def(node);
  if (isView(def, node.attrs, view.inputTypes(node))) return { kind: "view" };
  const planned = nodeView(view, node);
  const kernel = kernels.select(planned);
  if (typeof kernel !== "string") return { kind: "native" };
  const parts = decompose(planned, view, node, kernels, depth);
  return typeof parts === "string" ? { kind: "reference", reason: `${kernel}; ${parts}` } : { ...parts, reason: kernel };
}

/** The op from primitives that are all native, or why not. */
function decompose(
  { def, attrs, inputs }: NodeView,
  view: GraphView,
  node: Node,
  kernels: KernelSet,
  depth: number,
): Omit<Extract<Choice, { kind: "decomposed" }>, "reason"> | string {
  if (!def.decompose) return "it has no decomposition";
  if (kernels.empty || depth === MAX_DEPTH) return "its decomposition is not native";
  const b = graphBuilder(def.name);
  const operands = inputs.map((t, slot): Value | undefined => {
    if (!t) return undefined;
    if (t.value) return b.constant(t.value);
    const kind = t.weight ? "param" : view.isState(node.inputs[slot] ?? NONE) ? "state" : "input";
    return b[kind](`${slot}`, t.dtype, t.shape);
  });
  const made = outputsOf(def, def.decompose(b as DecomposeBuilder, namedInputs(def, operands) as never, attrs as never));
  for (const [i, value] of made.entries()) b.output(`${i}`, value);
  const graph = b.build();
  const inner = GraphView.of(graph);
  const parts = new Map<number, Choice>();
  for (const part of graph.nodes) {
    if (inner.def(part).traits.leaf !== undefined) continue;
    const choice = choose(inner, part, kernels, depth + 1);
    if (choice.kind === "reference") return `in its decomposition ${part.op}: ${choice.reason}`;
    parts.set(part.id, choice);
  }
  return { kind: "decomposed", graph, parts };
}

const outputsOf = (def: AnyOpDef, result: unknown): Value[] =>
  def.outputs.length === 1 ? [result as Value] : (def.outputs as string[]).map((name) => (result as Record<string, Value>)[name] as Value);

/** Add the parts of a decomposition to the new graph; gives the new values of the node's outputs. */
function inline(
  choice: Extract<Choice, { kind: "decomposed" }>,
  rewriter: Rewriter,
  operands: readonly (Value | undefined)[],
  from: Node,
): Value[] {
  const { graph, parts } = choice;
  const view = GraphView.of(graph);
  const made: (Value | undefined)[] = [];
  const use = (id: number): Value | undefined => (id === NONE ? undefined : made[id]);
  for (const part of graph.nodes) {
    const def = view.def(part);
    const inner = parts.get(part.id);
    const inputs = part.inputs.map(use);
    const values =
      inner?.kind === "decomposed"
        ? inline(inner, rewriter, inputs, from)
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

function entry({ op, label, origin }: Node, choice: Choice): DispatchEntry {
  return {
    op,
    choice: choice.kind,
    ...("reason" in choice ? { reason: choice.reason } : {}),
    ...(choice.kind === "decomposed" ? { into: primitives(choice) } : {}),
    ...(label === undefined ? {} : { label }),
    ...(origin === undefined ? {} : { origin }),
  };
}

const primitives = ({ graph, parts }: Extract<Choice, { kind: "decomposed" }>): string[] =>
  [...parts].flatMap(([id, part]) => (part.kind === "decomposed" ? primitives(part) : [graph.nodes[id]?.op ?? ""]));
