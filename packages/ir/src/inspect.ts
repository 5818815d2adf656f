import { type Bindings, bindDim, type Dim, dimMax } from "./dim.ts";
import { byteLength } from "./dtype.ts";
import { type Graph, NONE, type Node } from "./graph.ts";
import type { AnyOpDef, TensorType } from "./op.ts";
import { opByName } from "./ops/index.ts";
import { scalarOps } from "./scalar.ts";

/** Estimates for one op, or for all: every node computed once, nothing fused. */
export interface OpCost {
  readonly count: number;
  /** Floating-point (or integer) operations: a term of a sum counts two, a step of a scalar expression one. */
  readonly flops: number;
  /** Bytes of operands read and results written; views move nothing. */
  readonly bytes: number;
}
export interface GraphSummary {
  /** Per op, most bytes first. */
  readonly ops: ReadonlyMap<string, OpCost>;
  readonly total: OpCost;
  readonly paramBytes: number;
  readonly constantBytes: number;
  readonly stateBytes: number;
}

/** Count ops and estimate work from types and traits. Symbols that `bindings` leaves open count at their upper bound. */
export function summarizeGraph(graph: Graph, bindings: Bindings = {}): GraphSummary {
  const extent = (d: Dim): number => dimMax(bindDim(d, bindings));
  const sizeOf = (t: TensorType): number => t.shape.reduce<number>((n, d) => n * extent(d), 1);
  const bytesOf = (t: TensorType): number => byteLength(t.dtype, t.shape.map(extent));
  const ops = new Map<string, OpCost>();
  const leaves = { param: 0, constant: 0, state: 0, input: 0 };
  for (const node of graph.nodes) {
    const def = opByName(node.op);
    const results = node.outputs.flatMap((v) => graph.values[v] ?? []);
    const operands = node.inputs.map((v) => (v === NONE ? undefined : graph.values[v]));
    if (def.traits.leaf) leaves[def.traits.leaf] += results.reduce((n, t) => n + bytesOf(t), 0);
    const free = def.traits.leaf !== undefined || def.traits.view === true;
    const cost = {
      flops: flopsOf(def, node, operands, results, sizeOf, extent),
      bytes: free ? 0 : [...operands, ...results].reduce((n, t) => n + (t ? bytesOf(t) : 0), 0),
    };
    ops.set(node.op, plus(ops.get(node.op) ?? none, { count: 1, ...cost }));
  }
  return {
    ops: new Map([...ops].sort(([a, x], [b, y]) => y.bytes - x.bytes || y.count - x.count || (a < b ? -1 : 1))),
    total: [...ops.values()].reduce(plus, none),
    paramBytes: leaves.param,
    constantBytes: leaves.constant,
    stateBytes: leaves.state,
  };
}

const none: OpCost = { count: 0, flops: 0, bytes: 0 };
const plus = (a: OpCost, b: OpCost): OpCost => ({ count: a.count + b.count, flops: a.flops + b.flops, bytes: a.bytes + b.bytes });

function flopsOf(
  def: AnyOpDef,
  node: Node,
  operands: readonly (TensorType | undefined)[],
  results: readonly TensorType[],
  sizeOf: (t: TensorType) => number,
  extent: (d: Dim) => number,
): number {
  const [first] = results;
  if (!first) return 0;
  const { elementwise, accumulate } = def.traits;
  if (elementwise) {
    const body = elementwise(
      operands.filter((t) => t !== undefined),
      node.attrs as never,
    );
    return sizeOf(first) * body.steps.filter((s) => scalarOps[s.op] > 0).length;
  }
  return accumulate ? 2 * sizeOf(first) * extent(accumulate.length(operands, node.attrs as never)) : 0;
}

/** The summary as a table for people. */
export function summaryText(graph: Graph, summary: GraphSummary = summarizeGraph(graph)): string {
  const { total } = summary;
  const rows = [...summary.ops, ["total", total] as const].map(([op, c]) => [op, String(c.count), si(c.flops).trim(), `${si(c.bytes)}B`]);
  const table = [["op", "count", "flops", "bytes"], ...rows];
  const widths = [0, 1, 2, 3].map((i) => Math.max(...table.map((r) => r[i]?.length ?? 0)));
  const lines = table.map((r) => r.map((c, i) => (i === 0 ? c.padEnd(widths[i] ?? 0) : c.padStart(widths[i] ?? 0))).join("  "));
  const memory = `params ${si(summary.paramBytes)}B, constants ${si(summary.constantBytes)}B, states ${si(summary.stateBytes)}B`;
  return `${[`graph "${graph.name}": ${graph.nodes.length} nodes, ${memory}`, ...lines].join("\n")}\n`;
}

/** Three digits and a decimal prefix: `1.24 M`. */
function si(n: number): string {
  const units = ["", "K", "M", "G", "T", "P"];
  const rounded = Number(n.toPrecision(3)); // 999999 is 1.00 M
  const power = n < 1000 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(rounded) / 3));
  return `${power === 0 ? n : (n / 1000 ** power).toPrecision(3)} ${units[power]}`;
}
