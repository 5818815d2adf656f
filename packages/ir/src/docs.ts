import { markdownTable } from "./markdown.ts";
import type { AnyOpDef, AttrSpec, InputSpec, OpTraits } from "./op.ts";
import { ops } from "./ops/index.ts";

function operand({ name, kind, mode }: InputSpec): string {
  const type = kind === "any" ? "" : ` ${kind}`;
  return mode === "variadic" ? `[${name}...]${type}` : mode === "optional" ? `${name}?${type}` : `${name}${type}`;
}

function attribute(name: string, spec: AttrSpec): string {
  const type = spec.oneOf ? spec.oneOf.map((v) => `"${v}"`).join(" or ") : spec.kind;
  if (spec.required) return `${name}: ${type}`;
  return spec.default === undefined ? `${name}?: ${type}` : `${name}: ${type} = ${JSON.stringify(spec.default)}`;
}

/** The traits that a reader of the table may want to know, in words. */
function traitNames({ traits, decompose }: AnyOpDef): string[] {
  const t = traits as OpTraits;
  return [
    ...(t.leaf ? ["leaf"] : []),
    ...(t.elementwise ? ["elementwise"] : []),
    ...(t.commutative ? ["commutative"] : []),
    ...(t.view ? ["view"] : []),
    ...(t.subview ? ["subview"] : []),
    ...(t.writes ? [`writes ${t.writes.join(", ")}`] : []),
    ...(t.epilogue ? ["epilogue"] : []),
    ...(t.mergeable ? ["mergeable"] : []),
    ...(t.accumulate ? [`accumulates in ${t.accumulate.dtype}`] : []),
    ...(t.impure ? ["impure"] : []),
    ...(decompose ? ["decomposes"] : []),
  ];
}

/** The op table as Markdown: one row per op, by method. `method` is how a builder calls it, `name` what graphs print. */
export function renderOpTable(table: Readonly<Record<string, AnyOpDef>> = ops): string {
  const byMethod = Object.entries(table).sort(([a], [b]) => (a < b ? -1 : 1));
  const rows = byMethod.map(([method, def]) => {
    const attrs = Object.entries(def.attrs as Record<string, AttrSpec>).map(([name, spec]) => `\`${attribute(name, spec)}\``);
    const operands = (def.inputs as readonly InputSpec[]).map((s) => `\`${operand(s)}\``);
    const outputs = def.outputs.length > 1 ? ` Results: ${(def.outputs as string[]).map((n) => `\`${n}\``).join(", ")}.` : "";
    return [`\`${method}\``, `\`${def.name}\``, operands.join(", "), attrs.join(", "), def.doc + outputs, traitNames(def).join(", ")];
  });
  const header = ["method", "name", "operands", "attributes", "what it does", "traits"];
  return markdownTable(header, rows);
}
