import { type Builder, GraphBuilder, Value } from "./builder.ts";
import { AttrError } from "./errors.ts";
import { shown } from "./shown.ts";
import { Tensor } from "./tensor.ts";

/** Arguments by name, as a caller without types may give them. */
export type Args = Readonly<Record<string, unknown>>;

// What an argument is expected to be. All throw AttrError with the name of the function and of the argument.

export function checkNames(op: string, known: readonly string[], args: unknown): Args {
  if (typeof args !== "object" || args === null) throw new AttrError(op, `expected arguments by name, got ${shown(args)}`);
  for (const key of Object.keys(args))
    if (!known.includes(key)) throw new AttrError(op, `unknown argument ${shown(key)}: expected ${known.join(", ")}`);
  return args as Args;
}

export function natural(op: string, args: Args, name: string, otherwise?: number): number {
  return asNatural(op, name, args[name] ?? otherwise);
}

export function asNatural(op: string, name: string, value: unknown): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0)
    throw new AttrError(op, `${name}: expected an integer of at least 0, got ${shown(value)}`);
  return value;
}

export function naturals(op: string, args: Args, name: string): number[] {
  const list = args[name];
  if (!Array.isArray(list) && !ArrayBuffer.isView(list))
    throw new AttrError(op, `${name}: expected a list of integers, got ${shown(list)}`);
  return Array.from(list as ArrayLike<unknown>, (value, i) => asNatural(op, `${name}[${i}]`, value));
}

export function flag(op: string, args: Args, name: string): boolean {
  const value = args[name] ?? false;
  if (typeof value !== "boolean") throw new AttrError(op, `${name}: expected true or false, got ${shown(value)}`);
  return value;
}

export function tensor(op: string, args: Args, name: string): Tensor {
  const value = args[name];
  if (!(value instanceof Tensor)) throw new AttrError(op, `${name}: expected a tensor, got ${shown(value)}`);
  return value;
}

/** @throws AttrError for an argument that is no value of a graph. */
export function graphValue(op: string, args: Args, name: string): Value {
  const value = args[name];
  if (!(value instanceof Value)) throw new AttrError(op, `${name}: expected a value of the graph, got ${shown(value)}`);
  return value;
}

/** A place as a value; `undefined` when it is not given. */
export function placeOf(g: Builder, op: string, args: Args, name: string): Value | undefined {
  const value = args[name];
  if (value === undefined) return undefined;
  if (value instanceof Value) return value;
  if (typeof value !== "number") throw new AttrError(op, `${name}: expected a value or a number, got ${shown(value)}`);
  return g.constant(asNatural(op, name, value), "i64");
}

/** A function for each name of a table: on tensors, or on a builder and values of its graph. */
export function namedForms<S>(
  specs: Readonly<Record<string, S>>,
  onTensors: (op: string, spec: S, args: unknown) => unknown,
  onBuilder: (g: Builder, op: string, spec: S, args: unknown) => unknown,
): object {
  const form =
    (op: string, spec: S) =>
    (first: unknown, args?: unknown): unknown =>
      first instanceof GraphBuilder ? onBuilder(first as Builder, op, spec, args) : onTensors(op, spec, first);
  return Object.fromEntries(Object.entries(specs).map(([op, spec]) => [op, form(op, spec)]));
}
