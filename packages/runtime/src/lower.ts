import { dimMax, type Graph, hashGraph, NONE, type Node, opByName, type TensorType, type ValueId } from "@rlxjs/ir";
import type { Emitted, Kernel, NodeView } from "./backend.ts";
import { dimEqualBytes, placeTemporaries } from "./arena.ts";
import { GraphView } from "./passes/graph-view.ts";
import { KernelSet, nodeView } from "./passes/kernels.ts";
import type { Operand, Program, ProgramBuffer, Step, WeightSource } from "./program.ts";
import { liveNodes, type Location, locate, typeBytes } from "./storage.ts";
import { runAtOnce, type Work } from "./task.ts";
import { extract } from "./weight-values.ts";

type WeightExpression = Extract<WeightSource, { kind: "expression" }>;

/** Not a native kernel: the op's TypeScript reference, run on the host. */
export const REFERENCE = "reference";

export interface LowerOptions {
  readonly kernels: readonly Kernel[];
  /** Leave what depends on weights alone out of the program, to be evaluated once (default). False: it becomes steps like the rest. */
  readonly hoistWeights?: boolean;
}

/** Turn a legalised graph into a program: buffers, steps in order, and the memory plan of the temporaries. */
export const lowerGraph = (graph: Graph, options: LowerOptions): Program => runAtOnce(lowerWork(graph, options));

/** The same as work that may be interrupted. */
export function* lowerWork(graph: Graph, options: LowerOptions): Work<Program> {
  const lowering = new Lowering(graph, options);
  yield;
  lowering.declare();
  yield* lowering.emitSteps();
  return {
    name: graph.name,
    symbols: [...graph.symbols].map(([name, bounds]) => ({ name, ...bounds })),
    ...placeTemporaries(lowering.buffers, lowering.steps),
  };
}

class Lowering {
  readonly buffers: ProgramBuffer[] = [];
  readonly steps: (Step & { scratchBytes?: number })[] = [];
  readonly #graph: Graph;
  readonly #kernels: KernelSet;
  readonly #view: GraphView;
  readonly #nodes: readonly Node[];
  readonly #locations: readonly Location[];
  /** Buffer of each value that owns memory. */
  readonly #bufferOf = new Map<ValueId, number>();
  readonly #weightBuffers = new Map<string, number>();
  readonly #expressions = new Map<ValueId, WeightExpression>();
  /** Outputs that are another value's memory: copied as soon as that value is there. */
  readonly #copies = new Map<ValueId, { readonly name: string; readonly buffer: number }[]>();

  constructor(graph: Graph, { kernels, hoistWeights = true }: LowerOptions) {
    this.#graph = graph;
    this.#kernels = new KernelSet(kernels);
    this.#view = GraphView.of(graph, hoistWeights);
    const isWeight = (value: ValueId): boolean => this.#view.isWeight(value);
    this.#nodes = liveNodes(graph, isWeight);
    const weights = graph.nodes.filter((n) => n.outputs.every(isWeight));
    this.#locations = locate(
      graph,
      [...weights, ...this.#nodes].sort((a, b) => a.id - b.id),
    );
  }

  /** Buffers that callers see, in the graph's order: inputs, states, outputs. */
  declare(): void {
    for (const node of this.#nodes) {
      const { leaf } = opByName(node.op).traits;
      const [value] = node.outputs;
      if (value !== undefined && (leaf === "input" || leaf === "state"))
        this.#bufferOf.set(value, this.#addBuffer(leaf, String(node.attrs.name), this.#type(value)));
    }
    for (const { name, value } of this.#graph.outputs) {
      const type = this.#type(value);
      const buffer = this.#addBuffer("output", name, type);
      const { root, offset } = this.#location(value);
      // The value is computed straight into the output, unless its memory is somebody else's or holds more than the output.
      const direct = !this.#bufferOf.has(root) && !this.#view.isWeight(root) && offset === 0 && dimEqualBytes(this.#type(root), type);
      if (direct) this.#bufferOf.set(root, buffer);
      else this.#copies.set(value, [...(this.#copies.get(value) ?? []), { name, buffer }]);
    }
  }

  *emitSteps(): Work<void> {
    for (const value of this.#copies.keys()) if (this.#view.isWeight(value)) this.#emitCopies(value);
    for (const node of this.#nodes) {
      yield;
      const { traits } = opByName(node.op);
      const [first] = node.outputs;
      const owns = first !== undefined && this.#location(first).root === first;
      if (traits.leaf === undefined && (owns || traits.writes !== undefined || node.outputs.length > 1)) this.#emitNode(node);
      for (const value of node.outputs) this.#emitCopies(value);
    }
  }

  #emitNode(node: Node): void {
    const { layouts = {}, ...emitted } = this.#emitted(nodeView(this.#view, node));
    this.#addStep(node, emitted, {
      inputs: node.inputs.map((v, slot) => (v === NONE ? undefined : this.#operand(v, layouts[slot]))),
      outputs: node.outputs.map((v) => this.#operand(v)),
    });
  }

  /** A copy is a reshape to the same shape. */
  #emitCopies(value: ValueId): void {
    for (const { name, buffer } of this.#copies.get(value) ?? []) {
      const type = this.#type(value);
      const node = { op: "reshape", attrs: { shape: type.shape }, label: `output ${name}` };
      const emitted = this.#emitted({ def: opByName(node.op), attrs: node.attrs, inputs: [this.#view.operand(value)], outputs: [type] });
      this.#addStep(node, emitted, { inputs: [this.#operand(value)], outputs: [{ buffer, offset: 0, ...type }] });
    }
    this.#copies.delete(value);
  }

  /** What the first kernel that takes the node asks for; none does: the op's reference runs. */
  #emitted(node: NodeView): Emitted {
    const kernel = this.#kernels.select(node);
    return typeof kernel === "string" ? { kernel: REFERENCE } : kernel.emit(node);
  }

  #addStep(
    { op, attrs, label, origin }: Pick<Node, "op" | "attrs" | "label" | "origin">,
    { kernel, params = [], blob, scratchBytes = 0 }: Emitted,
    operands: Pick<Step, "inputs" | "outputs">,
  ): void {
    this.steps.push({
      kernel,
      op,
      attrs,
      ...operands,
      params,
      scratchBytes,
      ...(blob === undefined ? {} : { blob }),
      ...(label === undefined ? {} : { label }),
      ...(origin === undefined ? {} : { origin }),
    });
  }

  #type(value: ValueId): TensorType {
    const { dtype, shape } = this.#graph.values[value] ?? { dtype: "f32", shape: [] };
    return { dtype, shape };
  }

  #location(value: ValueId): Location {
    return this.#locations[value] ?? { root: value, offset: 0 };
  }

  #operand(value: ValueId, layout?: string): Operand {
    const type = this.#type(value);
    if (layout !== undefined) return { buffer: this.#weightBuffer(value, layout), offset: 0, ...type };
    const { root, offset } = this.#location(value);
    return { buffer: this.#rootBuffer(root), offset, ...type };
  }

  #rootBuffer(root: ValueId): number {
    if (this.#view.isWeight(root)) return this.#weightBuffer(root);
    const known = this.#bufferOf.get(root) ?? this.#addBuffer("arena", "", this.#type(root));
    this.#bufferOf.set(root, known);
    return known;
  }

  #addBuffer(kind: "input" | "output" | "state" | "arena", name: string, type: TensorType): number {
    const base = { ...type, bytes: dimMax(typeBytes(type)) };
    return this.buffers.push(kind === "arena" ? { ...base, kind, offset: 0 } : { ...base, kind, name }) - 1;
  }

  #weightBuffer(value: ValueId, layout?: string): number {
    const { op, attrs } = this.#view.producer(value);
    const base = { ...this.#type(value), bytes: dimMax(typeBytes(this.#type(value))), ...(layout === undefined ? {} : { layout }) };
    const add = (key: string, make: () => ProgramBuffer): number => {
      const full = `${key}|${layout ?? ""}`;
      const index = this.#weightBuffers.get(full) ?? this.buffers.push(make()) - 1;
      this.#weightBuffers.set(full, index);
      return index;
    };
    if (opByName(op).traits.leaf === "param") {
      const name = String(attrs.name);
      return add(`param ${name}`, () => ({ ...base, kind: "weight", source: { kind: "param", name } }));
    }
    const constant = this.#view.constant(value);
    if (constant) return add(`constant ${attrs.index}`, () => ({ ...base, kind: "constant", value: constant }));
    const source = this.#expressions.get(value) ?? this.#expression(value);
    this.#expressions.set(value, source);
    return add(`expression ${source.key}`, () => ({ ...base, kind: "weight", source }));
  }

  #expression(value: ValueId): WeightExpression {
    const graph = extract(this.#graph, value, `${this.#graph.name} weight %${value}`);
    return { kind: "expression", graph, key: hashGraph(graph) };
  }
}
