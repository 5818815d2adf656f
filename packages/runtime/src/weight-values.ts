import { type AttrRecord, type Graph, NONE, type Node, opByName, SymDim, type ValueId } from "@rlxjs/ir";

/**
 * Which values are the same in every run: params, constants and (if `derived`) pure functions of them at fixed extents. They
 * are evaluated once, when the program is prepared.
 */
export function weightValues(graph: Graph, derived = true): readonly boolean[] {
  const weight = new Array<boolean>(graph.values.length).fill(false);
  for (const node of graph.nodes) {
    const { traits } = opByName(node.op);
    const fixed =
      traits.leaf !== undefined
        ? traits.leaf === "param" || traits.leaf === "constant"
        : derived &&
          traits.impure !== true &&
          traits.writes === undefined &&
          node.inputs.every((v) => v === NONE || weight[v] === true) &&
          !hasSymbols(node.attrs) &&
          node.outputs.every((v) => graph.values[v]?.shape.every((d) => typeof d === "number") === true);
    if (fixed) for (const v of node.outputs) weight[v] = true;
  }
  return weight;
}

function hasSymbols(attrs: AttrRecord): boolean {
  const symbolic = (v: unknown): boolean => v instanceof SymDim || (typeof v === "object" && v !== null && Object.values(v).some(symbolic));
  return symbolic(attrs);
}

/** The part of a graph that computes one value, as a graph of its own with the output `out`. */
export function extract(graph: Graph, value: ValueId, name: string): Graph {
  const needed = new Set<number>();
  const pending = [value];
  for (let v = pending.pop(); v !== undefined; v = pending.pop()) {
    const node = graph.nodes[graph.values[v]?.node ?? NONE];
    if (!node || needed.has(node.id)) continue;
    needed.add(node.id);
    pending.push(...node.inputs);
  }
  const ids = new Map<ValueId, ValueId>([[NONE, NONE]]);
  const nodes: Node[] = [];
  const values: Graph["values"][number][] = [];
  const constants: Graph["constants"][number][] = [];
  for (const index of [...needed].sort((a, b) => a - b)) {
    const node = graph.nodes[index];
    if (!node) continue;
    const id = nodes.length;
    for (const [output, v] of node.outputs.entries()) {
      const info = graph.values[v];
      if (info) ids.set(v, values.push({ ...info, node: id, index: output }) - 1);
    }
    const tensor = opByName(node.op).traits.leaf === "constant" ? graph.constants[Number(node.attrs.index)] : undefined;
    const attrs = tensor ? { ...node.attrs, index: constants.push(tensor) - 1 } : node.attrs;
    const moved = (v: ValueId): ValueId => ids.get(v) ?? NONE;
    nodes.push({ ...node, id, attrs, inputs: node.inputs.map(moved), outputs: node.outputs.map(moved) });
  }
  return { name, nodes, values, constants, outputs: [{ name: "out", value: ids.get(value) ?? NONE }], symbols: new Map() };
}
