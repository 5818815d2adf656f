import { type AnyOpDef, type AttrRecord, checkAttrs, type Tensor } from "@rlxjs/ir";
import { expect } from "vitest";
import { type Case, resultsOf, type Slots, wrongResults } from "../../backend-cpu/test/one-op.ts";
import { backendOf, expectNoFaults, type Variant } from "./variants.ts";

/** Operands of an op, by slot, and its attributes without the defaults. */
export const caseOf = (def: AnyOpDef, operands: Tensor | Slots, attrs: AttrRecord = {}): Case => {
  const slots = Array.isArray(operands) ? (operands as Slots) : [operands as Tensor];
  const types = slots.map((t) => (t ? `${t.dtype}[${t.shape}]` : "none")).join(", ");
  return { name: types, slots, attrs: checkAttrs(def, attrs) };
};

/** The results of all cases are those of the op's reference. */
export function expectRight(variant: Variant, def: AnyOpDef, cases: readonly Case[]): void {
  expect(wrongResults(def, cases, resultsOf(backendOf(variant), def, cases)), def.name).toEqual([]);
  expectNoFaults();
}
