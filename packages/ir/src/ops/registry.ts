import { RlxError } from "../errors.ts";
import type { AnyOpDef } from "../op.ts";
import { shown } from "../shown.ts";

// Apart from the table, so that ops whose attributes name another op (with_epilogue) can look it up without importing the table.
const byName = new Map<string, AnyOpDef>();

export function register(defs: Iterable<AnyOpDef>): void {
  for (const def of defs) byName.set(def.name, def);
}

/** The record of an op by its name in graphs (`rms_norm`). */
export function opByName(name: string): AnyOpDef {
  const def = byName.get(name);
  if (!def) throw new RlxError("ERR_OP", `unknown op ${shown(name)}`);
  return def;
}
