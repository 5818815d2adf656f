import {
  type AnyOpDef,
  type Bindings,
  evalShape,
  evaluateGraph,
  type Graph,
  isInt,
  ops,
  opByName,
  printGraph,
  randomTensor,
  Rng,
  Tensor,
} from "@rlxjs/ir";
import type { Kernel } from "../../src/backend.ts";
import { KernelSet } from "../../src/passes/kernels.ts";
import { defaultPassOptions, type PassOptions } from "../../src/passes/options.ts";
import { type Pass, type PassResult, runPasses } from "../../src/passes/pass.ts";
import { runAtOnce } from "../../src/task.ts";

/** Kernels that take every node of these ops; without names, of every op. */
export const kernelsFor = (names: readonly string[] = (Object.values(ops) as AnyOpDef[]).map((d) => d.name)): Kernel[] =>
  names.map((op) => ({ op, accepts: () => true, emit: () => ({ kernel: op }) }));

export const without = (...names: readonly string[]): Kernel[] => kernelsFor().filter((k) => !names.includes(k.op));

export const apply = (
  graph: Graph,
  passes: readonly Pass[],
  kernels: readonly Kernel[] = kernelsFor(),
  options: Partial<PassOptions> = {},
): PassResult => runAtOnce(runPasses(graph, passes, new KernelSet(kernels), { ...defaultPassOptions, verify: true, ...options }));

/** The nodes as text, without the leaves' attributes. */
export const text = (graph: Graph): string =>
  printGraph(graph)
    .text.split("\n")
    .filter((line) => line.startsWith("%") || line.startsWith("output"))
    .map((line) => line.replace(/ = (input|param|state) \{name: "([^"]*)".*/, " = $1 $2"))
    .join("\n");

/** The outputs at random inputs and weights, by name; the same seed gives the same numbers. */
export function evaluate(graph: Graph, seed = 1, extents: Bindings = {}): Record<string, Tensor> {
  const leaf = (kind: string, name: string, dtype: Tensor["dtype"], shape: readonly number[]): Tensor => {
    let hash = seed;
    for (const c of `${kind}:${name}`) hash = (Math.imul(hash, 31) + c.charCodeAt(0)) | 0;
    const rng = new Rng(Math.abs(hash));
    // Small and not negative, so that integers may be ids and positions.
    return isInt(dtype)
      ? Tensor.from(
          dtype,
          shape,
          Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => rng.int(0, 3)),
        )
      : randomTensor(rng, dtype, shape);
  };
  const inputs: Record<string, Tensor> = {};
  const params = new Map<string, Tensor>();
  for (const node of graph.nodes) {
    const kind = opByName(node.op).traits.leaf;
    const type = graph.values[node.outputs[0] ?? -1];
    if (!type || (kind !== "input" && kind !== "param")) continue;
    const name = String(node.attrs.name);
    const tensor = leaf(kind, name, type.dtype, evalShape(type.shape, extents));
    if (kind === "input") inputs[name] = tensor;
    else params.set(name, tensor);
  }
  const states = new Map<string, Tensor>();
  const outputs = evaluateGraph(graph, { inputs, states, extents, params: (name) => params.get(name) ?? leaf("param", name, "f32", []) });
  return { ...outputs, ...Object.fromEntries([...states].map(([name, t]) => [`state ${name}`, t])) };
}

/** The largest difference of any output, relative to the output's largest element or 1. */
export function difference(a: Record<string, Tensor>, b: Record<string, Tensor>): number {
  let worst = 0;
  for (const [name, x] of Object.entries(a)) {
    const [u, v] = [x.values(), b[name]?.values() ?? []];
    let scale = 1;
    for (const e of u) if (Number.isFinite(e)) scale = Math.max(scale, Math.abs(e));
    for (let i = 0; i < u.length; i++) {
      const [p = 0, q = Number.NaN] = [u[i], v[i]];
      if (!Object.is(p, q) && !(Number.isNaN(p) && Number.isNaN(q))) worst = Math.max(worst, Math.abs(p - q) / scale);
      if (Number.isNaN(p) !== Number.isNaN(q)) return Number.POSITIVE_INFINITY;
    }
  }
  return worst;
}

/** Every output, element by element: equal texts mean equal bits, except that all NaNs are one. */
export const bits = (outputs: Record<string, Tensor>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(outputs).map(([name, t]) => [name, `${t.dtype}[${t.shape}] ${t.toArray().map((v) => (Object.is(v, -0) ? "-0" : v))}`]),
  );
