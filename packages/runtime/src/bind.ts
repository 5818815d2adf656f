import { type Graph, opByName, shapeEquals, Tensor, type TensorType } from "@rlxjs/ir";
import type { Backend } from "./backend.ts";
import { UnboundWeightError, WeightTypeError } from "./errors.ts";
import { lowerWork } from "./lower.ts";
import { compileWork } from "./passes/compile.ts";
import type { Program, ProgramBuffer } from "./program.ts";
import type { Work } from "./task.ts";
import type { WeightStore } from "./weights.ts";

/** Where a program's weights come from: params that were set on it go before those of the store. */
export interface WeightScope {
  readonly backend: Backend;
  readonly store: WeightStore | undefined;
  readonly params: ReadonlyMap<string, Tensor>;
}

/** Check a param against what the graph declares. */
export function checkWeight(graph: string, name: string, type: TensorType, tensor: Tensor): void {
  if (tensor.dtype !== type.dtype || !shapeEquals(tensor.shape, type.shape)) throw new WeightTypeError(graph, name, type, tensor);
}

function param(scope: WeightScope, graph: string, name: string, type: TensorType): Tensor {
  const tensor = scope.params.get(name) ?? scope.store?.get(name);
  if (!tensor)
    throw new UnboundWeightError(graph, name, type, scope.store ? "" : ": compile with { weights }, or call setParam before the run");
  checkWeight(graph, name, type, tensor);
  return tensor;
}

/** The declared params of a graph. */
export function paramsOf(graph: Graph): Map<string, TensorType> {
  const out = new Map<string, TensorType>();
  for (const node of graph.nodes) {
    const type = graph.values[node.outputs[0] ?? -1];
    if (type && opByName(node.op).traits.leaf === "param") out.set(String(node.attrs.name), { dtype: type.dtype, shape: type.shape });
  }
  return out;
}

/**
 * The bytes of every weight and constant of a program, in their layouts, parallel to its buffers. What depends on the store alone
 * is made once per store. Yields between weights.
 */
export function* bindWeights(program: Program, scope: WeightScope): Work<(Uint8Array<ArrayBuffer> | undefined)[]> {
  const out: (Uint8Array<ArrayBuffer> | undefined)[] = [];
  for (const buffer of program.buffers) {
    if (buffer.kind === "weight") out.push(yield* weightBytes(program.name, buffer, scope));
    else if (buffer.kind === "constant")
      out.push(buffer.layout === undefined ? buffer.value.bytes : scope.backend.pack(buffer.value, buffer.layout));
    else out.push(undefined);
    yield;
  }
  return out;
}

function* weightBytes(name: string, buffer: ProgramBuffer & { kind: "weight" }, scope: WeightScope): Work<Uint8Array<ArrayBuffer>> {
  const { source, layout, dtype, shape } = buffer;
  const raw = source.kind === "param" ? param(scope, name, source.name, buffer) : undefined;
  if (raw && layout === undefined) return raw.bytes;
  const names = source.kind === "param" ? [source.name] : [...paramsOf(source.graph).keys()];
  const shared = names.every((n) => !scope.params.has(n)) ? scope.store : undefined;
  const text = source.kind === "param" ? `param ${source.name}` : source.key;
  const key = `${scope.backend.info.kernelLibrary}|${layout ?? ""}|${text}`;
  const known = shared?.derived(key);
  if (known) return known;
  const tensor = raw ?? (source.kind === "expression" ? yield* evaluate(source.graph, scope) : undefined);
  if (!tensor) throw new UnboundWeightError(name, text, { dtype, shape });
  yield;
  const bytes = layout === undefined ? tensor.bytes : scope.backend.pack(tensor, layout);
  shared?.keep(key, bytes);
  return bytes;
}

/** A weight expression is a small program of its own, run once on the same device. */
function* evaluate(graph: Graph, scope: WeightScope): Work<Tensor> {
  const { kernels } = scope.backend;
  const { graph: legal } = yield* compileWork(graph, kernels, { hoistWeights: false });
  const program = yield* lowerWork(legal, { kernels, hoistWeights: false });
  const bound = yield* bindWeights(program, scope);
  const output = program.buffers.find((b) => b.kind === "output");
  const bytes = new Uint8Array(output?.bytes ?? 0);
  using executable = scope.backend.load(program, bound);
  executable.runSync({ extents: [], inputs: [], outputs: [bytes], states: [] });
  return Tensor.fromBytes(output?.dtype ?? "f32", (output?.shape ?? []).map(Number), bytes);
}
