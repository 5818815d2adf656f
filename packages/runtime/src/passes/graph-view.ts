import {
  type AnyOpDef,
  type AttrRecord,
  type Graph,
  GraphError,
  NONE,
  type Node,
  opByName,
  type Tensor,
  type TensorType,
  type ValueId,
  type ValueInfo,
  writtenSlots,
} from "@rlxjs/ir";
import type { OperandView } from "../backend.ts";
import { weightValues } from "../weight-values.ts";

/** Questions that passes ask of an immutable graph. Users, writers and weights are indexed once per graph, in linear time. */
export class GraphView {
  readonly graph: Graph;
  readonly #users: Node[][];
  readonly #outputs: ReadonlySet<ValueId>;
  /** State version -> the node that overwrites its buffer. */
  readonly #writers = new Map<ValueId, number>();
  readonly #weights: readonly boolean[];

  private constructor(graph: Graph, hoistWeights: boolean) {
    this.graph = graph;
    this.#weights = weightValues(graph, hoistWeights);
    this.#outputs = new Set(graph.outputs.map((o) => o.value));
    this.#users = graph.values.map(() => []);
    for (const node of graph.nodes) {
      for (const id of new Set(node.inputs)) this.#users[id]?.push(node);
      for (const slot of writtenSlots(opByName(node.op))) this.#writers.set(node.inputs[slot] ?? NONE, node.id);
    }
  }

  /** `hoistWeights`: functions of weights are weights too (see weight-values.ts); false: only params and constants are. */
  static of(graph: Graph, hoistWeights = true): GraphView {
    const cache = hoistWeights ? views : leafViews;
    const known = cache.get(graph);
    if (known) return known;
    const view = new GraphView(graph, hoistWeights);
    cache.set(graph, view);
    return view;
  }

  def(node: Node): AnyOpDef {
    return opByName(node.op);
  }
  type(value: ValueId): ValueInfo {
    const info = this.graph.values[value];
    if (!info) throw new GraphError(this.graph.name, `no value %${value}`);
    return info;
  }
  producer(value: ValueId): Node {
    const node = this.graph.nodes[this.type(value).node];
    if (!node) throw new GraphError(this.graph.name, `no node makes %${value}`);
    return node;
  }
  /** Nodes that read a value, each once, in order. */
  users(value: ValueId): readonly Node[] {
    return this.#users[value] ?? [];
  }
  isOutput(value: ValueId): boolean {
    return this.#outputs.has(value);
  }
  /** The only reader of a value that is not a graph output. */
  soleUser(value: ValueId): Node | undefined {
    const users = this.users(value);
    return users.length === 1 && !this.isOutput(value) ? users[0] : undefined;
  }
  /** Types of the operands, absent ones undefined. */
  inputTypes(node: Node): (ValueInfo | undefined)[] {
    return node.inputs.map((id) => (id === NONE ? undefined : this.type(id)));
  }
  outputTypes(node: Node): ValueInfo[] {
    return node.outputs.map((id) => this.type(id));
  }

  /** The tensor, when the value is a constant leaf. */
  constant(value: ValueId): Tensor | undefined {
    const node = this.producer(value);
    return this.def(node).traits.leaf === "constant" ? this.graph.constants[Number(node.attrs.index)] : undefined;
  }
  /** The element that all elements of a small constant equal; undefined for other values. */
  splat(value: ValueId): number | undefined {
    const tensor = this.constant(value);
    if (!tensor || tensor.size === 0 || tensor.size > 4096 || tensor.dtype === "i64") return undefined;
    const all = tensor.values();
    const [first] = all;
    return all.every((v) => Object.is(v, first)) ? first : undefined;
  }

  /** Whether a value is a version of a state. */
  isState(value: ValueId): boolean {
    const def = this.def(this.producer(value));
    return def.traits.leaf === "state" || this.type(value).index < writtenSlots(def).length;
  }

  /** Whether a value is the same in every run, so that it is evaluated when the graph is prepared. */
  isWeight(value: ValueId): boolean {
    return this.#weights[value] === true;
  }
  /** Whether a node is evaluated when the graph is prepared, and takes no part in runs. */
  isPrepared(node: Node): boolean {
    return this.def(node).traits.leaf === undefined && node.outputs.every((v) => this.isWeight(v));
  }

  operand(value: ValueId): OperandView {
    const { dtype, shape } = this.type(value);
    const constant = this.constant(value);
    return { dtype, shape, weight: this.isWeight(value), ...(constant ? { value: constant } : {}) };
  }
  operands(ids: readonly ValueId[]): (OperandView | undefined)[] {
    return ids.map((id) => (id === NONE ? undefined : this.operand(id)));
  }

  /** The node that overwrites a state version; undefined: none does, or the value is no state version. */
  writerOf(value: ValueId): number | undefined {
    return this.#writers.get(value);
  }

  /** Whether the bytes of `value` are overwritten by a node before `node`: then a read must not move there. */
  overwrittenBefore(value: ValueId, node: number): boolean {
    for (let v = value; v !== NONE; ) {
      const writer = this.#writers.get(v);
      if (writer !== undefined && writer < node) return true;
      const producer = this.producer(v);
      if (!isView(this.def(producer), producer.attrs, this.inputTypes(producer))) return false;
      v = producer.inputs[0] ?? NONE;
    }
    return false;
  }
}

const views = new WeakMap<Graph, GraphView>();
const leafViews = new WeakMap<Graph, GraphView>();

/** Whether the first output is the first input's bytes under another shape or at an offset: such a node needs no kernel. */
export function isView(def: AnyOpDef, attrs: AttrRecord, inputs: readonly (TensorType | undefined)[]): boolean {
  if (def.traits.view) return true;
  const part = def.traits.subview?.(attrs as never);
  const shape = inputs[0]?.shape;
  if (!part || !shape) return false;
  const axis = part.axis < 0 ? part.axis + shape.length : part.axis;
  return shape.slice(0, axis).every((d) => d === 1);
}
