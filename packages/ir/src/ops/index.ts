import type { AnyOpDef } from "../op.ts";
import { GraphError } from "../errors.ts";
import { add, div, mul, sub } from "./arithmetic.ts";
import { constant, input, param, state } from "./leaf.ts";
import { rmsNorm } from "./rms-norm.ts";

/** The op table. Builder methods, verifier, docs, conformance tests and dispatch reports are all derived from it. */
export const ops = {
  input,
  param,
  constant,
  state,
  add,
  sub,
  mul,
  div,
  rmsNorm,
} as const satisfies Record<string, AnyOpDef>;

export type OpTable = typeof ops;

const byName = new Map<string, AnyOpDef>(Object.values(ops).map((def) => [def.name, def]));

/** The record of an op by its name in graphs (`rms_norm`). */
export function opByName(name: string): AnyOpDef {
  const def = byName.get(name);
  if (!def) throw new GraphError(name, `unknown op "${name}"`);
  return def;
}
