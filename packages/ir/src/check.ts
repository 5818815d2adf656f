import { SymDim } from "./dim.ts";
import { dtypeClass, type DType, isDType } from "./dtype.ts";
import { AttrError, ShapeError } from "./errors.ts";
import type { AttrRecord } from "./graph.ts";
import type { AnyOpDef, AttrSpec, AttrTypes, InputKind, InputSpec, TensorType } from "./op.ts";

const isDim = (v: unknown): boolean => v instanceof SymDim || (Number.isSafeInteger(v) && (v as number) >= 0);
const isInt = (v: unknown): boolean => Number.isSafeInteger(v);
const kinds: Record<keyof AttrTypes, { expected: string; test(v: unknown): boolean }> = {
  number: { expected: "a number", test: (v) => typeof v === "number" },
  int: { expected: "an integer", test: isInt },
  bool: { expected: "true or false", test: (v) => typeof v === "boolean" },
  string: { expected: "a string", test: (v) => typeof v === "string" },
  ints: { expected: "a list of integers", test: (v) => Array.isArray(v) && v.every(isInt) },
  dim: { expected: "an extent (a number >= 0 or a dim)", test: isDim },
  dims: { expected: "a list of extents (numbers >= 0 or dims)", test: (v) => Array.isArray(v) && v.every(isDim) },
  dtype: { expected: "a dtype", test: isDType },
  dtypes: { expected: "a list of dtypes", test: (v) => Array.isArray(v) && v.every(isDType) },
  record: { expected: "a record of attributes", test: (v) => typeof v === "object" && v !== null && !Array.isArray(v) },
  body: { expected: "a scalar body", test: (v) => typeof v === "object" && v !== null && "steps" in v },
};

/** Fill in defaults and check every attribute: unknown, missing, or of the wrong type. */
export function checkAttrs(def: Pick<AnyOpDef, "name" | "attrs" | "inputs">, given: AttrRecord): AttrRecord {
  const specs = def.attrs as Readonly<Record<string, AttrSpec>>;
  for (const key of Object.keys(given))
    if (given[key] !== undefined && !Object.hasOwn(specs, key)) {
      const known = [...Object.keys(specs), ...optionalNames(def)];
      throw new AttrError(def.name, `unknown attribute "${key}": expected ${known.length ? known.join(", ") : "none"}`);
    }
  const out: Record<string, AttrRecord[string]> = {};
  for (const [key, s] of Object.entries(specs)) {
    const value = given[key] ?? s.default;
    if (value === undefined) {
      if (s.required) throw new AttrError(def.name, `attribute "${key}": expected ${kinds[s.kind].expected}, got nothing`);
      continue;
    }
    if (!kinds[s.kind].test(value))
      throw new AttrError(def.name, `attribute "${key}": expected ${kinds[s.kind].expected}, got ${show(value)}`);
    if (s.oneOf && !s.oneOf.includes(value as string))
      throw new AttrError(def.name, `attribute "${key}": expected one of ${s.oneOf.join(", ")}, got ${show(value)}`);
    out[key] = value;
  }
  return out;
}

const optionalNames = (def: Pick<AnyOpDef, "inputs">): string[] =>
  (def.inputs as readonly InputSpec[]).filter((s) => s.mode === "optional").map((s) => s.name);
const show = (v: unknown): string => (typeof v === "string" ? `"${v}"` : (JSON.stringify(v) ?? String(v)));

const accepts: Record<InputKind, (d: DType) => boolean> = {
  float: (d) => dtypeClass(d) === "float",
  int: (d) => dtypeClass(d) === "int",
  bool: (d) => d === "bool",
  numeric: (d) => dtypeClass(d) === "float" || dtypeClass(d) === "int",
  weight: (d) => dtypeClass(d) === "float" || dtypeClass(d) === "block",
  any: () => true,
};

/** Inputs of a node by slot name; a variadic slot becomes a list. */
export function namedInputs<V>(
  def: Pick<AnyOpDef, "inputs">,
  slots: readonly (V | undefined)[],
): Record<string, V | readonly V[] | undefined> {
  const out: Record<string, V | readonly V[] | undefined> = {};
  (def.inputs as readonly InputSpec[]).forEach((s, i) => {
    out[s.name] = s.mode === "variadic" ? (slots.slice(i) as V[]) : slots[i];
  });
  return out;
}

/** Check arity and dtype kinds, then infer the output types. */
export function checkInputs(def: AnyOpDef, slots: readonly (TensorType | undefined)[], attrs: AttrRecord): TensorType[] {
  const specs = def.inputs as readonly InputSpec[];
  const last = specs[specs.length - 1];
  if (last?.mode === "variadic" ? slots.length < specs.length - 1 : slots.length !== specs.length)
    throw new ShapeError(def.name, `expected ${specs.length} operands, got ${slots.length}`);
  slots.forEach((t, i) => {
    const s = specs[Math.min(i, specs.length - 1)];
    if (!s) return;
    if (!t) {
      if (s.mode !== "optional") throw new ShapeError(def.name, `operand "${s.name}": expected a value, got nothing`);
    } else if (!accepts[s.kind](t.dtype))
      throw new ShapeError(def.name, `operand "${s.name}": expected ${s.kind === "any" ? "any" : `a ${s.kind}`} dtype, got ${t.dtype}`);
  });
  const result = def.infer(namedInputs(def, slots) as never, attrs as never);
  return def.outputs.length === 1
    ? [result as TensorType]
    : (def.outputs as string[]).map((n) => (result as Record<string, TensorType>)[n] as TensorType);
}
