import type { InputSpec, Inputs, Outputs } from "./op.ts";
import { shown } from "./shown.ts";

// How ops and blocks are called: required and variadic inputs by position, then optional inputs and everything else by name.

type Positional<I extends Inputs, V> = I extends readonly [infer H, ...infer T extends Inputs]
  ? H extends { mode: "required" }
    ? [V, ...Positional<T, V>]
    : H extends { mode: "variadic" }
      ? [readonly V[], ...Positional<T, V>]
      : Positional<T, V>
  : [];
type OptionalInputs<I extends Inputs, V> = { readonly [K in Extract<I[number], { mode: "optional" }>["name"]]?: V | undefined };
type Options<I extends Inputs, A, V> = OptionalInputs<I, V> & (A extends Record<string, never> ? unknown : A) & { readonly label?: string };
type Result<O extends Outputs, R> = O extends readonly [string] ? R : { readonly [K in O[number]]: R };

/** The signature of an op or block: `V` is what it takes, `R` what it returns, `A` the attributes as a caller gives them. */
export type Call<I extends Inputs, A, O extends Outputs, V, R> =
  Record<never, never> extends A
    ? (...args: [...Positional<I, V>, options?: Options<I, A, V>]) => Result<O, R>
    : (...args: [...Positional<I, V>, options: Options<I, A, V>]) => Result<O, R>;

/** The arguments of a call, sorted: operands by slot (a variadic slot is the rest of the list), the label, and what is left of the options. */
export function splitCall<V>(
  specs: readonly InputSpec[],
  args: readonly unknown[],
  fail: (message: string) => Error,
): { operands: (V | undefined)[]; label: string | undefined; options: Record<string, unknown> } {
  const positional = specs.filter((s) => s.mode !== "optional").length;
  if (args.length > positional + 1) throw fail(`expected ${positional} operands and options, got ${args.length} arguments`);
  const given = args[positional] ?? {};
  if (!isRecord(given)) throw fail(`options: expected a record of attributes by name, got ${shown(given)}`);
  const { label, ...options }: Record<string, unknown> = given;
  if (label !== undefined && typeof label !== "string") throw fail(`label: expected a string, got ${shown(label)}`);
  let next = 0;
  const operands = specs.flatMap((s): (V | undefined)[] => {
    if (s.mode === "optional") {
      const value = options[s.name] as V | undefined;
      delete options[s.name];
      return [value];
    }
    const arg = args[next++];
    if (s.mode === "required") return [arg as V];
    if (!Array.isArray(arg)) throw fail(`operand "${s.name}": expected a list of values, got ${shown(arg)}`);
    return arg as V[];
  });
  return { operands, label, options };
}

/** An object literal: no list, nor an instance of a class such as a value or a tensor. */
function isRecord(v: unknown): v is Readonly<Record<string, unknown>> {
  if (typeof v !== "object" || v === null || Array.isArray(v)) return false;
  const proto: unknown = Object.getPrototypeOf(v);
  return proto === null || Object.getPrototypeOf(proto) === null;
}

/** Outputs as a call returns them: one value by itself, several by name. */
export const namedOutputs = <R>(names: readonly string[], values: readonly R[]): unknown =>
  names.length === 1 ? values[0] : Object.fromEntries(names.map((name, i) => [name, values[i]]));
