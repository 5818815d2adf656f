import { type Bindings, type Graph, isFloat, opByName, type Tensor } from "@rlxjs/ir";
import type { InputValues } from "./inputs.ts";
import type { Session } from "./session.ts";
import type { WeightStore } from "./weights.ts";

export interface DebugOptions {
  readonly inputs?: InputValues;
  readonly extents?: Bindings;
  readonly weights?: WeightStore;
  /** Largest difference of floats relative to the largest magnitude of the value. Default 1e-3. Integers must be equal. */
  readonly tolerance?: number;
}

/** A value of a graph, by the node that makes it. */
export interface NodeFinding {
  readonly node: number;
  readonly op: string;
  /** Name of the op's output. */
  readonly output: string;
  readonly label?: string;
  readonly origin?: string;
  /** Element (row-major) where it was seen. */
  readonly index: number;
  readonly values: readonly number[];
}

/** The first node whose value differs between two sessions, run unfused on fresh states; undefined: they agree everywhere. */
export async function compare(graph: Graph, a: Session, b: Session, options: DebugOptions = {}): Promise<NodeFinding | undefined> {
  const probe = probed(graph);
  const [left, right] = [await runProbe(probe, a, options), await runProbe(probe, b, options)];
  return firstFinding(probe, (name) => {
    const [x, y] = [left[name], right[name]];
    return x && y && firstDifference(x, y, options.tolerance ?? 1e-3);
  });
}

/** The first node that makes a NaN or an infinity; undefined: every value is finite. */
export async function findNonFinite(graph: Graph, session: Session, options: DebugOptions = {}): Promise<NodeFinding | undefined> {
  const probe = probed(graph);
  const values = await runProbe(probe, session, options);
  return firstFinding(probe, (name) => {
    const tensor = values[name];
    const index = tensor && isFloat(tensor.dtype) ? tensor.values().findIndex((v) => !Number.isFinite(v)) : -1;
    return tensor && index >= 0 ? { index, values: [tensor.get(index)] } : undefined;
  });
}

/** The graph with every computed value as an output, named by its number: nothing is fused, nothing is dropped. */
function probed(graph: Graph): Graph {
  const computed = graph.nodes.filter((n) => opByName(n.op).traits.leaf === undefined);
  return { ...graph, outputs: computed.flatMap((n) => n.outputs.map((value) => ({ name: `${value}`, value }))) };
}

async function runProbe(
  graph: Graph,
  session: Session,
  { inputs = {}, extents = {}, weights }: DebugOptions,
): Promise<Readonly<Record<string, Tensor>>> {
  using compiled = await session.compile(graph, {
    ...(weights ? { weights } : {}),
    passes: { fuse: false, maxFoldBytes: 0, hoistWeights: false },
  });
  return await compiled.run({ inputs, extents });
}

function firstFinding(graph: Graph, find: (output: string) => Pick<NodeFinding, "index" | "values"> | undefined): NodeFinding | undefined {
  for (const { name, value } of graph.outputs) {
    const found = find(name);
    const info = graph.values[value];
    const node = info && graph.nodes[info.node];
    if (!found || !info || !node) continue;
    const { id, op, label, origin } = node;
    const output = String(opByName(op).outputs[info.index]);
    return { node: id, op, output, ...(label === undefined ? {} : { label }), ...(origin === undefined ? {} : { origin }), ...found };
  }
  return undefined;
}

function firstDifference(a: Tensor, b: Tensor, tolerance: number): Pick<NodeFinding, "index" | "values"> | undefined {
  const [x, y] = [a.values(), b.values()];
  let peak = 0;
  for (const v of x) if (Number.isFinite(v)) peak = Math.max(peak, Math.abs(v));
  const bound = isFloat(a.dtype) ? tolerance * peak : 0;
  for (let index = 0; index < x.length; index++) {
    const [p, q] = [x[index] ?? 0, y[index] ?? 0];
    if (Object.is(p, q) || p === q || Math.abs(p - q) <= bound) continue;
    return { index, values: [p, q] };
  }
  return undefined;
}
