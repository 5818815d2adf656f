import { type Dim, parseDim, type SymbolBounds, SymDim } from "./dim.ts";
import { RlxError } from "./errors.ts";
import type { AttrRecord } from "./graph.ts";
import type { ScalarBody, ScalarOp } from "./scalar.ts";
import { scalarOps } from "./scalar.ts";
import { shown } from "./shown.ts";

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
export type Symbols = ReadonlyMap<string, SymbolBounds>;
export type AttrValue = AttrRecord[string];

/** Nesting that no graph needs; deeper input is an attack on the stack. */
export const maxDepth = 32;
const maxDimText = 1024;

// Numbers that JSON does not have.
const special = new Map<string, number>([
  ["nan", Number.NaN],
  ["inf", Number.POSITIVE_INFINITY],
  ["-inf", Number.NEGATIVE_INFINITY],
  ["-0", -0],
]);
export const specialNumber = (text: string): number | undefined => special.get(text);

/** A number as text that reads back as the same double. */
export const numberText = (v: number): string =>
  Number.isNaN(v) ? "nan" : Object.is(v, -0) ? "-0" : Number.isFinite(v) ? String(v) : v > 0 ? "inf" : "-inf";

/** An attribute as JSON without loss: dims are `{$dim}`, numbers that JSON lacks `{$number}`; keys that begin with `$` get another. */
export function attrToJson(value: unknown): Json {
  if (typeof value === "number") return Number.isFinite(value) && !Object.is(value, -0) ? value : { $number: numberText(value) };
  if (typeof value === "string" || typeof value === "boolean") return value;
  if (value instanceof SymDim) return { $dim: value.key };
  if (Array.isArray(value)) return value.map(attrToJson);
  if (typeof value !== "object" || value === null) throw new RlxError("ERR_ATTR", `attribute value: expected data, got ${shown(value)}`);
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, v]) => v !== undefined)
      .map(([k, v]) => [k.startsWith("$") ? `$${k}` : k, attrToJson(v)]),
  );
}

/** The inverse of `attrToJson`; the caller checks the result against the op's attribute specs. */
export function attrFromJson(json: Json, symbols: Symbols, depth = 0): AttrValue {
  if (depth > maxDepth) throw new RlxError("ERR_ATTR", `attribute value: nested deeper than ${maxDepth}`);
  if (typeof json === "number" || typeof json === "string" || typeof json === "boolean") return json;
  if (json === null) throw new RlxError("ERR_ATTR", "attribute value: got null");
  if (isList(json)) return json.map((v) => attrFromJson(v, symbols, depth + 1)) as unknown as AttrValue;
  const keys = Object.keys(json);
  if (keys.length === 1 && keys[0] === "$dim") return dimFromText(json.$dim, symbols);
  if (keys.length === 1 && keys[0] === "$number") {
    const number = typeof json.$number === "string" ? special.get(json.$number) : undefined;
    if (number === undefined) throw new RlxError("ERR_ATTR", `attribute value: unknown number ${shown(json.$number)}`);
    return number;
  }
  return Object.fromEntries(
    Object.entries(json).map(([k, v]) => {
      if (k.startsWith("$") && !k.startsWith("$$")) throw new RlxError("ERR_ATTR", `attribute value: unknown tag "${k}"`);
      return [k.startsWith("$") ? k.slice(1) : k, attrFromJson(v, symbols, depth + 1)];
    }),
  );
}

const isList = (json: Json): json is readonly Json[] => Array.isArray(json);

/** A dim from its canonical text; any other text for the same dim is refused, so that equal dims have one form. */
export function dimFromText(text: unknown, symbols: Symbols): Dim {
  if (typeof text !== "string" || text.length > maxDimText)
    throw new RlxError("ERR_DIM", `dim: expected text of at most ${maxDimText} characters`);
  const dim = parseDim(text, symbols);
  if (String(dim) !== text) throw new RlxError("ERR_DIM", `dim "${text}": expected the canonical form "${dim}"`);
  return dim;
}

/** JSON text with sorted keys: equal values give equal text. */
export function canonicalJson(json: Json): string {
  if (typeof json !== "object" || json === null) return JSON.stringify(json);
  if (isList(json)) return `[${json.map(canonicalJson).join(",")}]`;
  const entries = Object.entries(json).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([k, v]) => `${JSON.stringify(k)}:${canonicalJson(v)}`).join(",")}}`;
}

/** Visit the symbolic dims in an attribute value, at any depth. */
export function forEachDim(value: unknown, visit: (dim: SymDim) => void): void {
  if (typeof value !== "object" || value === null) return;
  if (value instanceof SymDim) visit(value);
  else for (const v of Object.values(value)) forEachDim(v, visit);
}

/** What is wrong with a value that should be a scalar body; undefined: nothing. */
export function bodyProblem(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null) return "expected a scalar body";
  const { inputs, compute, steps, outputs, ...rest } = value as Partial<Record<keyof ScalarBody, unknown>>;
  if (Object.keys(rest).length > 0) return `unknown field "${Object.keys(rest)[0]}"`;
  if (!Number.isSafeInteger(inputs) || (inputs as number) < 0) return `inputs: expected an integer >= 0, got ${shown(inputs)}`;
  if (compute !== "f32" && compute !== "f64" && compute !== "i64") return `compute: expected f32, f64 or i64, got ${shown(compute)}`;
  if (!Array.isArray(steps) || !Array.isArray(outputs)) return "expected lists of steps and outputs";
  const isRegister = (r: unknown, below: number) => Number.isSafeInteger(r) && (r as number) >= 0 && (r as number) < below;
  for (const [i, step] of steps.entries()) {
    if (typeof step !== "object" || step === null) return `step ${i}: expected a record`;
    const { op, args, imm, ...other } = step as Record<string, unknown>;
    if (typeof op !== "string" || !Object.hasOwn(scalarOps, op)) return `step ${i}: unknown scalar op ${shown(op)}`;
    if (Object.keys(other).length > 0) return `step ${i}: unknown field "${Object.keys(other)[0]}"`;
    const arity = scalarOps[op as ScalarOp];
    const here = (inputs as number) + i;
    if (!Array.isArray(args) || args.length !== arity || !args.every((r) => isRegister(r, here)))
      return `step ${i}: ${op} takes ${arity} earlier registers, got ${shown(args)}`;
    if ((op === "const") !== (typeof imm === "number")) return `step ${i}: imm is the number of a const, and of nothing else`;
  }
  const registers = (inputs as number) + steps.length;
  if (outputs.length === 0 || !outputs.every((r) => isRegister(r, registers))) return `outputs: expected registers, got ${shown(outputs)}`;
  return undefined;
}
