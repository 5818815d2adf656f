import { namedInputs, runReference, Tensor } from "@rlxjs/ir";
import type { RunInto } from "./support/quantized.ts";
import { quantizedSuite } from "./support/quantized-suite.ts";

const reference: RunInto = (def, slots, attrs, outs) => {
  const named = namedInputs(def, slots);
  const written = ((def.traits.writes ?? []) as readonly string[]).map((name) => named[name]).filter((t) => t instanceof Tensor);
  runReference(def, slots, attrs, outs ?? written);
};

quantizedSuite(reference);
