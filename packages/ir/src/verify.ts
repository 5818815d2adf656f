import { forEachDim } from "./attr-codec.ts";
import { checkAttrs, checkInputs } from "./check.ts";
import { shapeEquals } from "./dim.ts";
import { GraphError, RlxError } from "./errors.ts";
import { type Graph, NONE, type Node, type ValueId } from "./graph.ts";
import { type AnyOpDef, type TensorType, writtenSlots } from "./op.ts";
import { opByName } from "./ops/index.ts";
import { showType } from "./shape.ts";

/**
 * Check every rule of the IR over a whole graph: dense ids in order, arity, attributes, recorded types against inferred ones, state
 * versions, constants, symbols, outputs. Throws GraphError that names the graph and the node.
 */
export function verifyGraph(graph: Graph): void {
  for (const _ of verifyWork(graph));
}

/** The same, interruptible: yields after every node. */
export function* verifyWork(graph: Graph): Generator<undefined, void> {
  const check = new Verifier(graph);
  for (const [i, node] of graph.nodes.entries()) {
    check.node(node, i);
    yield;
  }
  check.finish();
}

/** A node in messages: its number, op, label and origin. */
export const showNode = (node: Node): string =>
  `node ${node.id} (${node.op}${node.label === undefined ? "" : ` "${node.label}"`}${node.origin === undefined ? "" : `, from ${node.origin}`})`;

class Verifier {
  readonly #graph: Graph;
  #nextValue = 0;
  readonly #leaves = new Set<string>();
  /** State versions, by the node that wrote them; undefined: still current. */
  readonly #versions = new Map<ValueId, number | undefined>();

  constructor(graph: Graph) {
    this.#graph = graph;
  }

  node(node: Node, i: number): void {
    try {
      this.#node(node, i);
    } catch (error) {
      // A type rule may trip over attributes that only hostile input has; the caller sees one kind of error.
      const message = error instanceof RlxError ? error.message : `its type cannot be inferred: ${String(error)}`;
      throw new GraphError(this.#graph.name, `${showNode(node)}: ${message}`);
    }
  }

  #node(node: Node, i: number): void {
    if (node.id !== i) throw problem(`expected id ${i}: ids are dense and in order`);
    const def = opByName(node.op);
    this.#attrs(node, def);
    for (const id of node.inputs)
      if (id !== NONE && !(Number.isInteger(id) && id >= 0 && id < this.#nextValue))
        throw problem(`input %${id}: expected a value made by an earlier node (below %${this.#nextValue})`);
    this.#state(node, def);
    const types = checkInputs(
      def,
      node.inputs.map((id) => (id === NONE ? undefined : this.#graph.values[id])),
      node.attrs,
    );
    if (node.outputs.length !== types.length) throw problem(`expected ${types.length} outputs, got ${node.outputs.length}`);
    for (const [index, type] of types.entries()) this.#output(node, index, type);
    const versions = def.traits.leaf === "state" ? 1 : writtenSlots(def).length;
    for (const version of node.outputs.slice(0, versions)) this.#versions.set(version, undefined);
    if (def.traits.leaf) this.#leaf(node, def);
  }

  #attrs(node: Node, def: AnyOpDef): void {
    for (const key of Object.keys(checkAttrs(def, node.attrs)))
      if (node.attrs[key] === undefined) throw problem(`attribute "${key}": expected its default to be filled in, got nothing`);
    this.#symbols(node.attrs);
  }

  #output(node: Node, index: number, type: TensorType): void {
    const id = this.#nextValue++;
    if (node.outputs[index] !== id)
      throw problem(`output ${index}: expected %${id}, got %${node.outputs[index]}: values are numbered in order`);
    const value = this.#graph.values[id];
    if (!value || value.node !== node.id || value.index !== index)
      throw problem(`output %${id}: the value table says ${value ? `output ${value.index} of node ${value.node}` : "nothing"}`);
    if (value.dtype !== type.dtype || !shapeEquals(value.shape, type.shape))
      throw problem(`output %${id}: recorded type ${showType(value)}, inferred ${showType(type)}`);
    this.#symbols(value.shape);
  }

  #leaf(node: Node, def: AnyOpDef): void {
    if (def.traits.leaf === "constant") {
      const index = Number(node.attrs.index);
      const tensor = this.#graph.constants[index];
      if (!tensor) throw problem(`constant ${index}: the graph has ${this.#graph.constants.length} constants`);
      const type = this.#graph.values[node.outputs[0] ?? NONE];
      if (type && (tensor.dtype !== type.dtype || !shapeEquals(tensor.shape, type.shape)))
        throw problem(`constant ${index}: expected ${showType(type)}, the data is ${showType(tensor)}`);
      return;
    }
    const key = `${node.op} "${String(node.attrs.name)}"`;
    if (this.#leaves.has(key)) throw problem(`${key} is defined twice`);
    this.#leaves.add(key);
  }

  #state(node: Node, def: AnyOpDef): void {
    for (const id of node.inputs) {
      const writer = this.#versions.get(id);
      if (writer !== undefined) throw problem(`uses state version %${id} after node ${writer} has written it`);
    }
    for (const [i, slot] of writtenSlots(def).entries()) {
      const target = node.inputs[slot] ?? NONE;
      if (!this.#versions.has(target)) throw problem(`writes "${def.traits.writes?.[i]}": expected a state version, got %${target}`);
      if (this.#versions.get(target) === node.id)
        throw problem(`writes "${def.traits.writes?.[i]}": expected a state of its own, got %${target} again`);
      this.#versions.set(target, node.id);
    }
  }

  #symbols(where: unknown): void {
    forEachDim(where, (dim) => {
      for (const [name, bounds] of dim.symbols) {
        const known = this.#graph.symbols.get(name);
        if (known?.min !== bounds.min || known.max !== bounds.max)
          throw problem(
            `dim "${name}" has bounds [${bounds.min}, ${bounds.max}], the graph's symbol table says ${known ? `[${known.min}, ${known.max}]` : "nothing"}`,
          );
      }
    });
  }

  finish(): void {
    const { name, values, outputs } = this.#graph;
    if (values.length !== this.#nextValue) throw new GraphError(name, `has ${values.length} values, its nodes make ${this.#nextValue}`);
    const names = new Set<string>();
    for (const { name: output, value } of outputs) {
      if (names.has(output)) throw new GraphError(name, `output "${output}" is defined twice`);
      names.add(output);
      if (!values[value]) throw new GraphError(name, `output "${output}": no value %${value}`);
      const writer = this.#versions.get(value);
      if (writer !== undefined)
        throw new GraphError(name, `output "${output}" is state version %${value}, which node ${writer} overwrites`);
    }
    const writes = [...this.#versions.values()].some((writer) => writer !== undefined);
    if (outputs.length === 0 && !writes) throw new GraphError(name, "has no outputs and writes no state");
  }
}

/** What is wrong with a node; `Verifier.node` says which one. */
const problem = (message: string): RlxError => new RlxError("ERR_GRAPH", message);
