import { type Bindings, byteLength, overlap, showShape, Tensor, type TensorData, type TensorType } from "@rlxjs/ir";
import { OutputError } from "./errors.ts";
import { actualShape, arrayOf } from "./inputs.ts";
import type { GraphTypes, RunOptions } from "./run-options.ts";

type Memory = ReadonlyMap<string, Uint8Array<ArrayBuffer>>;

/** Which outputs a run delivers: those that are read or have memory given; without `read`, all that do not stay on the device. */
export function deliveredOutputs<Out extends string>(
  { name: graph, outputs }: GraphTypes<Out>,
  { read, into }: RunOptions<Out>,
  resident: ReadonlySet<Out>,
): ReadonlySet<Out> {
  const targets = Object.keys(into ?? {}) as Out[];
  for (const name of [...(read ?? []), ...targets])
    if (!outputs.has(name)) throw new OutputError(graph, `unknown output "${name}": expected ${[...outputs.keys()].join(", ")}`);
  return new Set([...outputs.keys()].filter((n) => (read ? read.includes(n) : !resident.has(n)) || targets.includes(n)));
}

/** Tensors for the named outputs, at the extents of a run: in the memory that the caller gave, or new. */
export function allocateResults<Out extends string>(
  graph: GraphTypes<Out>,
  names: ReadonlySet<Out>,
  into: RunOptions<Out>["into"],
  extents: Bindings,
  inputs: Memory,
): ReadonlyMap<Out, Tensor> {
  const targets: Partial<Record<Out, TensorData>> = into ?? {};
  const results = new Map<Out, Tensor>();
  for (const [name, type] of graph.outputs) {
    if (!names.has(name)) continue;
    const target = Object.hasOwn(targets, name) ? targets[name] : undefined;
    const shape = actualShape(type, extents);
    if (target) checkUnused(graph, name, target, targets, inputs);
    results.set(name, target ? intoTensor(graph.name, name, type, shape, target) : Tensor.zeros(type.dtype, shape));
  }
  return results;
}

/** Memory for an output must not be that of an input or of another output. */
function checkUnused<Out extends string>(
  graph: GraphTypes<Out>,
  name: Out,
  target: TensorData,
  targets: Readonly<Partial<Record<Out, TensorData>>>,
  inputs: Memory,
): void {
  const users = [...inputs].map(([input, bytes]): [string, TensorData] => [`input "${input}"`, bytes]);
  for (const other of graph.outputs.keys()) {
    const memory = other !== name && Object.hasOwn(targets, other) ? targets[other] : undefined;
    if (memory) users.push([`output "${other}"`, memory]);
  }
  const user = users.find(([, memory]) => overlap(target, memory));
  if (user) throw new OutputError(graph.name, `output "${name}": its memory is also that of ${user[0]}`);
}

function intoTensor(graph: string, name: string, type: TensorType, shape: readonly number[], target: TensorData): Tensor {
  const expected = arrayOf(type);
  const bytes = byteLength(type.dtype, shape);
  if (!(target instanceof expected))
    throw new OutputError(graph, `output "${name}": expected a ${expected.name}, got a ${target.constructor.name}`);
  if (target.byteLength !== bytes)
    throw new OutputError(
      graph,
      `output "${name}": expected ${bytes} bytes for ${type.dtype}${showShape(shape)}, got ${target.byteLength}`,
    );
  return new Tensor(type.dtype, shape, target);
}
