import { bodyProblem } from "./attr-codec.ts";
import { dimMax, isMultiple, SymDim } from "./dim.ts";
import { type DType, dtypeClass, dtypes, isDType, isInt } from "./dtype.ts";
import { AttrError, ShapeError } from "./errors.ts";
import type { AttrRecord } from "./graph.ts";
import type { AnyOpDef, AttrSpec, AttrTypes, InputKind, InputSpec, TensorType } from "./op.ts";
import { showType } from "./shape.ts";
import { shown } from "./shown.ts";
import { intRange } from "./tensor.ts";

const isDim = (v: unknown): boolean => v instanceof SymDim || (Number.isSafeInteger(v) && (v as number) >= 0);
const kinds: Record<keyof AttrTypes, { expected: string; test(v: unknown): boolean }> = {
  number: { expected: "a number", test: (v) => typeof v === "number" },
  int: { expected: "an integer", test: Number.isSafeInteger },
  bool: { expected: "true or false", test: (v) => typeof v === "boolean" },
  string: { expected: "a string", test: (v) => typeof v === "string" },
  ints: { expected: "a list of integers", test: (v) => Array.isArray(v) && v.every(Number.isSafeInteger) },
  dim: { expected: "an extent (a number >= 0 or a dim)", test: isDim },
  dims: { expected: "a list of extents (numbers >= 0 or dims)", test: (v) => Array.isArray(v) && v.every(isDim) },
  dtype: { expected: "a dtype", test: isDType },
  dtypes: { expected: "a list of dtypes", test: (v) => Array.isArray(v) && v.every(isDType) },
  record: { expected: "a record of attributes", test: (v) => typeof v === "object" && v !== null && !Array.isArray(v) },
  body: { expected: "a scalar body", test: () => true }, // see bodyProblem
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
    const value = given[key] === undefined ? s.default : given[key];
    if (value === undefined) {
      if (s.required) throw new AttrError(def.name, `attribute "${key}": expected ${kinds[s.kind].expected}, got nothing`);
      continue;
    }
    if (!kinds[s.kind].test(value))
      throw new AttrError(def.name, `attribute "${key}": expected ${kinds[s.kind].expected}, got ${shown(value)}`);
    const wrong = s.kind === "body" ? bodyProblem(value) : undefined;
    if (wrong !== undefined) throw new AttrError(def.name, `attribute "${key}": ${wrong}`);
    if (s.oneOf && !s.oneOf.includes(value as string))
      throw new AttrError(def.name, `attribute "${key}": expected one of ${s.oneOf.join(", ")}, got ${shown(value)}`);
    out[key] = Array.isArray(value) ? ([...value] as typeof value) : value; // the caller may go on to change the list
  }
  return out;
}

const optionalNames = (def: Pick<AnyOpDef, "inputs">): string[] =>
  (def.inputs as readonly InputSpec[]).filter((s) => s.mode === "optional").map((s) => s.name);

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
  const types =
    def.outputs.length === 1
      ? [result as TensorType]
      : (def.outputs as string[]).map((n) => (result as Record<string, TensorType>)[n] as TensorType);
  for (const t of types) checkType(def.name, t);
  return types;
}

/** A type that memory can hold at the upper bounds of its symbols, block formats in whole blocks. */
function checkType(op: string, t: TensorType): void {
  const { blockSize, blockBytes } = dtypes[t.dtype];
  const extents = t.shape.map(dimMax);
  if (extents.some((n) => !Number.isSafeInteger(n) || n < 0))
    throw new ShapeError(op, `${showType(t)} has an extent that is negative or too large`);
  if (!Number.isSafeInteger(extents.reduce((a, b) => a * b, blockBytes)))
    throw new ShapeError(op, `${showType(t)} is larger than 2^53 bytes`);
  if (!isMultiple(t.shape.at(-1) ?? 1, blockSize))
    throw new ShapeError(op, `${showType(t)}: expected a last extent that is a multiple of ${blockSize}`);
}

/** A literal that becomes an element of `dtype`: integers must be whole and in range, anything may be rounded to a float. */
export function checkLiteral(op: string, what: string, value: number, dtype: DType): void {
  if (!isInt(dtype)) return;
  const { min, max } = intRange(dtype);
  if (!Number.isInteger(value) || BigInt(value) < min || BigInt(value) > max)
    throw new AttrError(op, `${what}: expected an integer from ${min} to ${max} for ${dtype}, got ${value}`);
}
