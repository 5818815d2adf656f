import { markdownTable } from "../markdown.ts";
import { type KvCopySpec, type KvForm, kvCopySpecs, kvForms } from "./table.ts";

/** One dispatch of the reference, and what it is here. */
export interface KvNameRow {
  readonly reference: string;
  readonly name: string;
  /** The op, with the attributes that the name stands for. */
  readonly op: string;
  readonly what: string;
}

function rowOf(name: string, spec: KvCopySpec): KvNameRow {
  const form: KvForm = kvForms[spec.form];
  const ring = typeof form.ring === "string" ? `ring: ${form.ring}` : form.ring ? "ring: true" : "";
  const attrs = [`layout: "${form.layout}"`, form.xLayout === "head" ? 'xLayout: "head"' : "", ring].filter((a) => a !== "");
  const dtypes = spec.cache === "same" ? `${spec.source.join(" or ")}, bits` : `${spec.source.join(" or ")} to ${spec.cache}`;
  return {
    reference: spec.reference,
    name,
    op: `${spec.dual ? "kv_write_pair" : "kv_write"} {${attrs.join(", ")}}`,
    what: `${spec.dual ? "K and V, each " : ""}[${form.source.join(", ")}], ${dtypes}`,
  };
}

/** Every named copy, from the table that they are made of. */
export const kvNameRows: readonly KvNameRow[] = [
  ...Object.entries(kvCopySpecs).map(([name, spec]) => rowOf(name, spec)),
  {
    reference: "kv_cache_linearize_ring_bytes",
    name: "kvCacheLinearizeRing",
    op: "kv_linearize_ring",
    what: "[nHeads, srcCap, rowBytes], any dtype, bytes",
  },
];

/** Rows as a Markdown table. */
export function renderKvNames(rows: readonly KvNameRow[] = kvNameRows): string {
  const cells = rows.map(({ reference, name, op, what }) => [`\`${reference}\``, `\`${name}\``, `\`${op}\``, what]);
  const header = ["reference", "ours", "op", "source and dtypes"];
  return markdownTable(header, cells);
}
