import { type Graph, opByName, shapeEquals, Tensor, type TensorType } from "@rlxjs/ir";
import type { Backend, RunCall } from "./backend.ts";
import { UnboundWeightError, WeightTypeError } from "./errors.ts";
import { loadProgram } from "./load.ts";
import { lowerWork } from "./lower.ts";
import { compileWork } from "./passes/compile.ts";
import type { Program, ProgramBuffer, WeightSource } from "./program.ts";
import type { Work } from "./task.ts";
import type { WeightStore } from "./weights.ts";

type Bytes = Uint8Array<ArrayBuffer>;

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
export function* bindWeights(program: Program, scope: WeightScope): Work<(Bytes | undefined)[]> {
  const out: (Bytes | undefined)[] = [];
  for (const buffer of program.buffers) {
    if (buffer.kind === "weight") out.push(yield* weightBytes(program.name, buffer, scope));
    else if (buffer.kind === "constant") out.push(yield* packed(buffer.value, buffer.layout, scope));
    else out.push(undefined);
    yield;
  }
  return out;
}

/** Whether a weight depends on the store alone, so that its bytes are shared. */
export function isStored(source: WeightSource, { store, params }: Pick<WeightScope, "store" | "params">): boolean {
  const names = source.kind === "param" ? [source.name] : [...paramsOf(source.graph).keys()];
  return store !== undefined && names.every((n) => !params.has(n));
}

function* weightBytes(name: string, buffer: ProgramBuffer & { kind: "weight" }, scope: WeightScope): Work<Bytes> {
  const { source, layout } = buffer;
  const tensor = source.kind === "param" ? param(scope, name, source.name, buffer) : undefined;
  if (tensor && layout === undefined) return tensor.bytes;
  const shared = isStored(source, scope) ? scope.store : undefined;
  const key = `${scope.backend.info.kernelLibrary}|${layout ?? ""}|${source.kind === "param" ? `param ${source.name}` : source.key}`;
  const known = shared?.derived(key);
  if (known) return known;
  const bytes =
    source.kind === "expression"
      ? yield* evaluate(source.graph, layout, scope)
      : tensor
        ? yield* packed(tensor, layout, scope)
        : new Uint8Array();
  return shared?.keep(key, bytes) ?? bytes;
}

/** A weight expression is a small program of its own, run once on the same device, into the memory that is kept or packed. */
function* evaluate(graph: Graph, layout: string | undefined, scope: WeightScope): Work<Bytes> {
  const { backend } = scope;
  const { kernels } = backend;
  const { graph: legal } = yield* compileWork(graph, kernels, { fuse: false, hoistWeights: false });
  const program = yield* lowerWork(legal, { kernels, hoistWeights: false });
  const bound = yield* bindWeights(program, scope);
  const [output] = program.buffers.filter((b) => b.kind === "output");
  const { dtype, shape, bytes } = output ?? { dtype: "f32", shape: [], bytes: 0 };
  const memory = backend.allocate(bytes);
  const call: RunCall = { extents: [], inputs: [], outputs: [memory.bytes], states: [] };
  using executable = yield* loadProgram(backend, program, bound);
  yield { run: (signal) => executable.run({ ...call, signal }), runSync: () => executable.runSync(call) };
  if (layout === undefined) return memory.bytes;
  const made = yield* packed(Tensor.fromBytes(dtype, shape.map(Number), memory.bytes), layout, scope);
  memory[Symbol.dispose]();
  return made;
}

/** A weight in a kernel's layout. */
function* packed(weight: Tensor, layout: string | undefined, { backend }: WeightScope): Work<Bytes> {
  let bytes = weight.bytes;
  if (layout !== undefined)
    yield {
      run: async () => {
        bytes = await backend.pack(weight, layout);
      },
      runSync: () => {
        bytes = backend.packSync(weight, layout);
      },
    };
  return bytes;
}
