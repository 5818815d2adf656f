import type { AnyOpDef } from "../op.ts";
import { register } from "./registry.ts";
import * as table from "./table.ts";

/** The op table. Builder methods, verifier, docs, conformance tests and dispatch reports are all derived from it. */
export const ops = table satisfies Readonly<Record<string, AnyOpDef>>;

export type OpTable = typeof ops;

register(Object.values(ops));

export { opByName } from "./registry.ts";
