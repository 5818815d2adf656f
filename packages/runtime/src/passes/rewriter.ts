import {
  type AnyOpDef,
  type AttrRecord,
  type Builder,
  type DType,
  type Dim,
  type Graph,
  GraphError,
  graphBuilder,
  NONE,
  type Node,
  type Value,
  type ValueId,
} from "@rlxjs/ir";
import type { GraphView } from "./graph-view.ts";

/** Builds the next graph from the previous one. Old values map to new ones; what nothing maps to any more is left behind dead. */
export class Rewriter {
  readonly view: GraphView;
  readonly builder: Builder;
  readonly #map: (Value | undefined)[] = [];

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
  }
  /** Add a node that keeps the label and the origin of `from`. */
  emit(def: AnyOpDef, inputs: readonly (Value | undefined)[], attrs: AttrRecord, from: Node): Value[] {
    this.builder.origin = from.origin;
    return this.builder.emit(def, inputs, attrs, from.label);
  }

  /** The same node over the new values. */
  copy(node: Node): void {
    const def = this.view.def(node);
    this.builder.origin = node.origin;
    const made = def.traits.leaf ? [this.#leaf(def.traits.leaf, node)] : this.emit(def, this.values(node.inputs), node.attrs, node);
    for (const [i, old] of node.outputs.entries()) {
      const value = made[i];
      if (value) this.bind(old, value);
    }
  }

  finish(): Graph {
    for (const { name, value } of this.view.graph.outputs) this.builder.output(name, this.value(value));
    return this.builder.build();
  }

  #leaf(kind: "input" | "param" | "constant" | "state", node: Node): Value {
    if (kind === "constant") {
      const tensor = this.view.graph.constants[Number(node.attrs.index)];
      if (!tensor) throw new GraphError(this.view.graph.name, `constant ${node.attrs.index} is missing`);
      return this.builder.constant(tensor);
    }
    const { name, dtype, shape } = node.attrs as { name: string; dtype: DType; shape: readonly Dim[] };
    return this.builder[kind](name, dtype, shape);
  }
}

/** Rebuild a graph node by node; `visit` returns true for the nodes that it has replaced itself, the others are copied. */
export function rewriteGraph(view: GraphView, visit: (node: Node, rewriter: Rewriter) => boolean): Graph {
  const rewriter = new Rewriter(view);
  for (const node of view.graph.nodes) if (!visit(node, rewriter)) rewriter.copy(node);
  return rewriter.finish();
}
