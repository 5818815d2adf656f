import {
  type Bindings,
  dimEquals,
  dtypes,
  evalShape,
  type Graph,
  opByName,
  productOf,
  showShape,
  Tensor,
  type TensorData,
  type TensorType,
} from "@rlxjs/ir";
import { InputDTypeError, InputShapeError, MissingInputError, UnknownInputError } from "./errors.ts";
import { type Observation, solveExtents } from "./extents.ts";

/** A tensor; its elements in the dtype's typed array (f16, bf16: bits), the shape following from the extents; or a number for a scalar. */
export type InputValue = Tensor | TensorData | number;
export type InputValues = Readonly<Record<string, InputValue>>;

export interface BoundInputs {
  readonly extents: Bindings;
  readonly bytes: ReadonlyMap<string, Uint8Array<ArrayBuffer>>;
}

/** Declared leaves of one kind, by name. */
export function leavesOf(graph: Graph, leaf: "input" | "state"): ReadonlyMap<string, TensorType> {
  const out = new Map<string, TensorType>();
  for (const node of graph.nodes) {
    const type = graph.values[node.outputs[0] ?? -1];
    if (type && opByName(node.op).traits.leaf === leaf) out.set(String(node.attrs.name), { dtype: type.dtype, shape: type.shape });
  }
  return out;
}

/** Check the inputs of one run against the graph, and find its extents. */
export function bindInputs(graph: Graph, specs: ReadonlyMap<string, TensorType>, values: InputValues, given: Bindings): BoundInputs {
  for (const name of Object.keys(values)) if (!specs.has(name)) throw new UnknownInputError(graph.name, name, specs.keys());
  const observations: Observation[] = [];
  const bytes = new Map<string, Uint8Array<ArrayBuffer>>();
  for (const [name, type] of specs) {
    const value = Object.hasOwn(values, name) ? values[name] : undefined;
    if (value === undefined) throw new MissingInputError(graph.name, name, type);
    bytes.set(name, inputBytes(graph.name, name, type, value, observations));
  }
  return { extents: solveExtents(graph, given, observations), bytes };
}

function inputBytes(
  graph: string,
  name: string,
  type: TensorType,
  value: InputValue,
  observations: Observation[],
): Uint8Array<ArrayBuffer> {
  if (typeof value === "number") {
    if (type.shape.length > 0) throw new InputShapeError(graph, name, type, "a number");
    return Tensor.from(type.dtype, [], [value]).bytes;
  }
  if (value instanceof Tensor) {
    checkTensor(graph, name, type, value);
    for (const [axis, dim] of type.shape.entries())
      if (typeof dim !== "number") observations.push({ where: `input "${name}" axis ${axis}`, dim, actual: value.shape[axis] ?? 0 });
    return value.bytes;
  }
  const expected = arrayOf(type);
  if (!(value instanceof expected)) throw new InputDTypeError(graph, name, `a ${expected.name} of ${type.dtype}`, `a ${className(value)}`);
  const count = elements(type, value.byteLength);
  const dim = productOf(type.shape);
  if (typeof dim === "number" && dim !== count)
    throw new InputShapeError(graph, name, type, `${count} elements (${value.byteLength} bytes)`);
  if (!dimEquals(dim, count)) observations.push({ where: `input "${name}" (number of elements)`, dim, actual: count });
  return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
}

/** Check dtype, rank and fixed extents of a tensor that is given for an input. */
export function checkTensor(graph: string, name: string, type: TensorType, { dtype, shape }: Tensor): void {
  if (dtype !== type.dtype) throw new InputDTypeError(graph, name, type.dtype, dtype);
  const fits = shape.length === type.shape.length && type.shape.every((d, i) => typeof d !== "number" || d === shape[i]);
  if (!fits) throw new InputShapeError(graph, name, type, `${dtype}${showShape(shape)}`);
}

/** The typed array that holds a dtype. */
export const arrayOf = ({ dtype }: TensorType) =>
  Tensor.zeros(dtype, [0]).data.constructor as { new (length: number): TensorData; readonly name: string };
const className = (value: unknown): string => (typeof value === "object" && value !== null ? value.constructor.name : typeof value);

function elements(type: TensorType, bytes: number): number {
  const { blockSize, blockBytes } = dtypes[type.dtype];
  return (bytes / blockBytes) * blockSize;
}

/** The shape of a declared value in a run. */
export const actualShape = (type: TensorType, extents: Bindings): number[] => evalShape(type.shape, extents);
