import { ShapeError } from "../errors.ts";
import { defineOp, input } from "../op.ts";
import { numericDTypes, randomTensor } from "../samples.ts";
import { showType } from "../shape.ts";
import { expectShape } from "./rules.ts";

export const stateWrite = defineOp({
  name: "state_write",
  doc: "Replaces all of a state by a value of the same type.",
  inputs: [input("state", "any"), input("value", "any")],
  traits: { writes: ["state"] },
  infer: ({ state, value }) => {
    if (state.dtype !== value.dtype) throw new ShapeError("state_write", `value: expected ${showType(state)}, got ${showType(value)}`);
    expectShape("state_write", "value", value, state.shape);
    return state;
  },
  reference: ({ value }, _, out) => out.bytes.set(value.bytes),
  samples: (rng) =>
    [...numericDTypes, "bool" as const].flatMap((d) => [
      { inputs: { state: randomTensor(rng, d, [3, 5]), value: randomTensor(rng, d, [3, 5]) } },
      { inputs: { state: randomTensor(rng, d, []), value: randomTensor(rng, d, []) } },
    ]),
});
