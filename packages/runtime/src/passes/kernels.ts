import { type AnyOpDef, type AttrRecord, checkAttrs, checkInputs, type Node, RlxError, type TensorType } from "@rlxjs/ir";
import type { Kernel, NodeView, OperandView } from "../backend.ts";
import type { GraphView } from "./graph-view.ts";

/** A backend's kernels, by op. */
export class KernelSet {
  readonly #byOp = new Map<string, Kernel[]>();

  constructor(kernels: readonly Kernel[]) {
    for (const kernel of kernels) {
      const list = this.#byOp.get(kernel.op);
      if (list) list.push(kernel);
      else this.#byOp.set(kernel.op, [kernel]);
    }
  }

  get empty(): boolean {
    return this.#byOp.size === 0;
  }

  /** Whether there is any kernel for an op. */
  has(op: string): boolean {
    return this.#byOp.has(op);
  }

  /** The first kernel that takes the node, or why none does. */
  select(node: NodeView): Kernel | string {
    const candidates = this.#byOp.get(node.def.name);
    if (!candidates) return `the backend has no ${node.def.name} kernel`;
    const reasons: string[] = [];
    for (const kernel of candidates) {
      const answer = kernel.accepts(node);
      if (answer === true) return kernel;
      reasons.push(answer);
    }
    return reasons.join("; ");
  }

  /** Whether the backend takes a node that is not in a graph yet: its view, or why it cannot be. */
  probe(def: AnyOpDef, inputs: readonly (OperandView | undefined)[], attrs: AttrRecord): NodeView | string {
    const view = planNode(def, inputs, attrs);
    if (typeof view === "string") return view;
    const kernel = this.select(view);
    return typeof kernel === "string" ? kernel : view;
  }
}

/** The node that `def` would make of these operands, or the text of the shape or attribute error. */
export function planNode(def: AnyOpDef, inputs: readonly (OperandView | undefined)[], attrs: AttrRecord): NodeView | string {
  try {
    const checked = checkAttrs(def, attrs);
    const outputs: readonly TensorType[] = checkInputs(def, inputs, checked);
    return { def, attrs: checked, inputs, outputs };
  } catch (error) {
    if (error instanceof RlxError) return error.message;
    throw error;
  }
}

export const nodeView = (view: GraphView, node: Node): NodeView => ({
  def: view.def(node),
  attrs: node.attrs,
  inputs: view.operands(node.inputs),
  outputs: view.outputTypes(node),
});
