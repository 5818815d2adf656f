import { AttrError } from "../errors.ts";
import { shown } from "../shown.ts";
import { Tensor } from "../tensor.ts";

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
