import {
  type AnyOpDef,
  type AttrRecord,
  type Builder,
  type Graph,
  GraphError,
  graphBuilder,
  NONE,
  type Node,
  shapeEquals,
  type TensorType,
  type Value,
  type ValueId,
} from "@rlxjs/ir";
import type { Work } from "../task.ts";
import type { GraphView } from "./graph-view.ts";

/** Builds the next graph from the previous one. Old values map to new ones; what nothing maps to any more is left behind dead. */
export class Rewriter {
  readonly view: GraphView;
  readonly builder: Builder;
  readonly #map: (Value | undefined)[] = [];
  readonly #writers = new Map<ValueId, number>();

  constructor(view: GraphView) {
    this.view = view;
    this.builder = graphBuilder(view.graph.name);
  }

  /** The new value that stands for an old one. */
  value(old: ValueId): Value {
    const value = this.#map[old];
    if (!value) throw new GraphError(this.view.graph.name, `rewriting: %${old} is used before it is made`);
    return value;
  }
  values(old: readonly ValueId[]): (Value | undefined)[] {
    return old.map((id) => (id === NONE ? undefined : this.value(id)));
  }
  /** From now on, uses of `old` read `value`. */
  bind(old: ValueId, value: Value): void {
    this.#map[old] = value;
    const writer = this.view.writerOf(old);
    if (writer !== undefined) this.#writers.set(value.id, writer);
  }
  /** The old node that will overwrite what stands for an old value: a state version, which the value may have been a view of. */
  writerOf(old: ValueId): number | undefined {
    return this.#writers.get(this.value(old).id);
  }
  /** Add a node that keeps the label and the origin of `from`. */
  emit(def: AnyOpDef, inputs: readonly (Value | undefined)[], attrs: AttrRecord, from: Node): Value[] {
    this.builder.origin = from.origin;
    return this.builder.emit(def, inputs, attrs, from.label);
  }

  /** The same node over the new values; its types are inferred again only when those of its operands have changed. */
  copy(node: Node): void {
    const def = this.view.def(node);
    const inputs = this.values(node.inputs);
    this.builder.origin = node.origin;
    const unchanged = inputs.every((v, i) => !v || sameType(v.type, this.view.type(node.inputs[i] ?? NONE)));
    const made =
      def.traits.leaf === "constant"
        ? [this.#constant(node)]
        : unchanged
          ? this.builder.adopt(node, inputs, this.view.outputTypes(node))
          : this.emit(def, inputs, node.attrs, node);
    for (const [i, old] of node.outputs.entries()) {
      const value = made[i];
      if (value) this.bind(old, value);
    }
  }

  finish(): Graph {
    for (const { name, value } of this.view.graph.outputs) this.builder.output(name, this.value(value));
    return this.builder.build();
  }

  #constant(node: Node): Value {
    const tensor = this.view.graph.constants[Number(node.attrs.index)];
    if (!tensor) throw new GraphError(this.view.graph.name, `constant ${node.attrs.index} is missing`);
    return this.builder.constant(tensor);
  }
}

const sameType = (a: TensorType, b: TensorType): boolean => a.dtype === b.dtype && (a.shape === b.shape || shapeEquals(a.shape, b.shape));

/**
 * Rebuild a graph node by node, in the order of `nodes`; `visit` returns true for the nodes that it has replaced or drops, the others are
 * copied.
 */
export function* rewriteGraph(
  view: GraphView,
  visit: (node: Node, rewriter: Rewriter) => boolean,
  nodes: readonly Node[] = view.graph.nodes,
): Work<Graph> {
  const rewriter = new Rewriter(view);
  for (const node of nodes) {
    if (!visit(node, rewriter)) rewriter.copy(node);
    yield;
  }
  return rewriter.finish();
}
