import { namedInputs } from "./check.ts";
import { type Bindings, type Dim, evalDim, evalShape, SymDim } from "./dim.ts";
import { GraphError } from "./errors.ts";
import { type AttrRecord, type Graph, NONE, type Node } from "./graph.ts";
import { type AnyOpDef, type AttrSpec, type AttrValues, writtenSlots } from "./op.ts";
import { opByName } from "./ops/registry.ts";
import { showShape } from "./shape.ts";
import { Tensor } from "./tensor.ts";

export interface EvaluateOptions {
  readonly inputs: Readonly<Record<string, Tensor>>;
  /** Weights by name. */
  readonly params?: (name: string) => Tensor;
  /** State buffers by name, updated in place; missing ones are made, zero at first. */
  readonly states?: Map<string, Tensor>;
  /** Values of symbols; those that are an input's extent by themselves are taken from the input. */
  readonly extents?: Bindings;
}

/** Run a graph node by node with the references: the specification of a whole graph. Returns the outputs by name. */
export function evaluateGraph(graph: Graph, options: EvaluateOptions): Record<string, Tensor> {
  const { inputs, params, states = new Map<string, Tensor>() } = options;
  const extents = bindExtents(graph, options);
  const values = new Map<number, Tensor>();
  const shapeOf = (value: number): number[] => evalShape(graph.values[value]?.shape ?? [], extents);
  const leaf = (node: Node, kind: string): Tensor => {
    const name = String(node.attrs.name);
    const [value = NONE] = node.outputs;
    if (kind === "constant") return required(graph, graph.constants[Number(node.attrs.index)], `constant ${node.attrs.index}`);
    if (kind === "input") return required(graph, Object.hasOwn(inputs, name) ? inputs[name] : undefined, `input "${name}"`);
    if (kind === "param") return required(graph, params?.(name), `param "${name}"`);
    const state = states.get(name) ?? Tensor.zeros(graph.values[value]?.dtype ?? "f32", shapeOf(value));
    states.set(name, state);
    return state;
  };

  for (const node of graph.nodes) {
    const def = opByName(node.op);
    if (def.traits.leaf) {
      const [value = NONE] = node.outputs;
      const t = leaf(node, def.traits.leaf);
      checkLeaf(graph, node, t, shapeOf(value));
      values.set(value, t);
      continue;
    }
    const slots = node.inputs.map((v) => (v === NONE ? undefined : required(graph, values.get(v), `value %${v}`)));
    const written = writtenSlots(def);
    const outs = node.outputs.map((v, i) => slots[written[i] ?? NONE] ?? Tensor.zeros(graph.values[v]?.dtype ?? "f32", shapeOf(v)));
    runReference(def, slots, bindAttrs(def, node.attrs, extents), outs);
    for (const [i, v] of node.outputs.entries()) values.set(v, outs[i] as Tensor);
  }
  return Object.fromEntries(graph.outputs.map((o) => [o.name, required(graph, values.get(o.value), `output "${o.name}"`)]));
}

/** Call an op's reference: operands by slot, attributes with numeric extents, outputs in order. */
export function runReference(def: AnyOpDef, slots: readonly (Tensor | undefined)[], attrs: AttrRecord, outs: readonly Tensor[]): void {
  if (!def.reference) throw new GraphError(def.name, `op "${def.name}" has no reference`);
  const names = def.outputs as readonly string[];
  const out = names.length === 1 ? outs[0] : Object.fromEntries(names.map((n, i) => [n, outs[i]]));
  def.reference(namedInputs(def, slots) as never, attrs as AttrValues<never>, out as never);
}

/** Attributes with every symbolic extent evaluated, also those of a node inside (see with_epilogue). */
export function bindAttrs(def: AnyOpDef, attrs: AttrRecord, extents: Bindings): AttrRecord {
  const specs = def.attrs as Readonly<Record<string, AttrSpec>>;
  const out: Record<string, AttrRecord[string]> = {};
  for (const [name, value] of Object.entries(attrs)) {
    const kind = specs[name]?.kind;
    if (kind === "dim") out[name] = evalDim(value as Dim, extents);
    else if (kind === "dims") out[name] = evalShape(value as readonly Dim[], extents);
    else if (kind === "record" && typeof attrs.op === "string") out[name] = bindAttrs(opByName(attrs.op), value as AttrRecord, extents);
    else out[name] = value;
  }
  return out;
}

function required<T>(graph: Graph, value: T | undefined, what: string): T {
  if (value === undefined) throw new GraphError(graph.name, `${what}: expected a tensor, got nothing`);
  return value;
}

function checkLeaf(graph: Graph, node: Node, t: Tensor, shape: readonly number[]): void {
  const { dtype } = graph.values[node.outputs[0] ?? NONE] ?? t;
  if (t.dtype !== dtype || t.shape.length !== shape.length || t.shape.some((d, i) => d !== shape[i]))
    throw new GraphError(
      graph.name,
      `${node.op} "${node.attrs.name}": expected ${dtype}${showShape(shape)}, got ${t.dtype}${showShape(t.shape)}`,
    );
}

/** Symbols that are given, and those that the inputs' shapes imply. */
function bindExtents(graph: Graph, { inputs, extents = {} }: EvaluateOptions): Bindings {
  const out: Record<string, number> = { ...extents };
  for (const node of graph.nodes) {
    const t = opByName(node.op).traits.leaf === "input" ? inputs[String(node.attrs.name)] : undefined;
    for (const [i, d] of (graph.values[node.outputs[0] ?? NONE]?.shape ?? []).entries()) {
      const extent = t?.shape[i];
      if (extent !== undefined && d instanceof SymDim && d.symbols.has(d.key)) out[d.key] ??= extent;
    }
  }
  for (const [name, { min, max }] of graph.symbols) {
    const v = out[name];
    if (v !== undefined && (v < min || v > max)) throw new GraphError(graph.name, `extent "${name}": expected ${min} to ${max}, got ${v}`);
  }
  return out;
}
