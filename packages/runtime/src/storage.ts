import {
  addDims,
  type Dim,
  type DType,
  divDims,
  dtypes,
  type Graph,
  mulDims,
  NONE,
  type Node,
  opByName,
  productOf,
  type TensorType,
  type ValueId,
  writtenSlots,
} from "@rlxjs/ir";

/** Where a value lives: `offset` bytes into the memory of `root`, a value that owns its memory. */
export interface Location {
  readonly root: ValueId;
  readonly offset: Dim;
}

/** Bytes of so many elements; undefined when they are not whole blocks. */
function bytesOf(dtype: DType, elements: Dim): Dim | undefined {
  const { blockSize, blockBytes } = dtypes[dtype];
  const blocks = blockSize === 1 ? elements : elements === 0 ? 0 : divDims(elements, blockSize);
  return blocks === undefined ? undefined : mulDims(blocks, blockBytes);
}

/** Bytes of a dense tensor at any extents. */
export const typeBytes = (type: TensorType): Dim => bytesOf(type.dtype, productOf(type.shape)) ?? 0;

/** Nodes that must run: those that outputs or state writes depend on. Weight values are evaluated elsewhere and stop the walk. */
export function liveNodes(graph: Graph, isWeight: (value: ValueId) => boolean): readonly Node[] {
  const live = new Set<number>();
  const stack: ValueId[] = graph.outputs.map((o) => o.value);
  for (const node of graph.nodes) if (opByName(node.op).traits.writes !== undefined) stack.push(...node.outputs);
  for (let v = stack.pop(); v !== undefined; v = stack.pop()) {
    const id = graph.values[v]?.node;
    if (v === NONE || id === undefined || isWeight(v) || live.has(id)) continue;
    live.add(id);
    stack.push(...(graph.nodes[id]?.inputs ?? []));
  }
  return graph.nodes.filter((n) => live.has(n.id));
}

/** The state versions that a node overwrites, the i-th with its output i. */
const writeTargets = (node: Node): readonly ValueId[] => writtenSlots(opByName(node.op)).map((slot) => node.inputs[slot] ?? NONE);

/** The operand whose bytes the node's first output has, when no kernel is needed for it. */
function aliasOf(graph: Graph, node: Node): Location | undefined {
  const { traits } = opByName(node.op);
  const [root] = node.inputs;
  const type = root === undefined ? undefined : graph.values[root];
  if (root === undefined || type === undefined) return undefined;
  if (traits.view) return { root, offset: 0 };
  if (!traits.subview) return undefined;
  const { axis, start } = traits.subview(node.attrs as never);
  const at = axis < 0 ? axis + type.shape.length : axis;
  if (type.shape.slice(0, at).some((d) => d !== 1)) return undefined;
  const offset = bytesOf(type.dtype, mulDims(start, productOf(type.shape.slice(at + 1))));
  return offset === undefined ? undefined : { root, offset };
}

/**
 * Which values share memory: views and contiguous parts of their operand, next versions of the state that they write. Everything
 * else owns its memory, and so does a view of a state that is still used after the state has been overwritten.
 */
export function locate(graph: Graph, nodes: readonly Node[]): readonly Location[] {
  const lastUse = new Array<number>(graph.values.length).fill(-1);
  const overwritten = new Map<ValueId, number>();
  // Backwards, so that uses of views of views are known: a use of a view is a use of what it views.
  for (const node of [...nodes].reverse()) {
    for (const target of writeTargets(node)) overwritten.set(target, node.id);
    const viewed = aliasOf(graph, node)?.root;
    const through = lastUse[node.outputs[0] ?? NONE] ?? -1;
    for (const v of node.inputs) if (v !== NONE) lastUse[v] = Math.max(lastUse[v] ?? -1, node.id, v === viewed ? through : -1);
  }
  const out: Location[] = graph.values.map((_, root) => ({ root, offset: 0 }));
  /** The state version (or other value) that a value is a view of. */
  const version = graph.values.map((_, v) => v);
  for (const node of nodes) {
    const targets = writeTargets(node);
    for (const [i, target] of targets.entries()) {
      const [next, from] = [node.outputs[i], out[target]];
      if (next !== undefined && from) out[next] = from;
    }
    const [first] = node.outputs;
    const alias = targets.length === 0 ? aliasOf(graph, node) : undefined;
    const from = alias && out[alias.root];
    if (first === undefined || !from) continue;
    const viewed = version[alias.root] ?? alias.root;
    if ((lastUse[first] ?? -1) >= (overwritten.get(viewed) ?? Number.POSITIVE_INFINITY)) continue;
    version[first] = viewed;
    out[first] = { root: from.root, offset: addDims(from.offset, alias.offset) };
  }
  return out;
}
