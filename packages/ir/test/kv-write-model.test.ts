import { namedInputs, runReference, Tensor } from "@rlxjs/ir";
import fc from "fast-check";
import { test } from "vitest";
import { checkKvModel, kvCommands, kvShapes, type RunOp } from "./support/kv-model.ts";

const reference: RunOp = (def, slots, attrs) => {
  const named = namedInputs(def, slots);
  const outs = ((def.traits.writes ?? []) as readonly string[]).map((name) => named[name]);
  runReference(
    def,
    slots,
    attrs,
    outs.filter((t) => t instanceof Tensor),
  );
};

test("any writes, ring writes, truncations and linearisations leave what plain lists say", () => {
  fc.assert(
    fc.property(kvShapes(), kvCommands(), (shape, list) => checkKvModel(reference, shape, list)),
    { numRuns: 400 },
  );
});
