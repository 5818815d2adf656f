import { metalKernels } from "@rlxjs/backend-metal";
import { type AnyOpDef, type DType, ops } from "@rlxjs/ir";
import { afterEach, expect, test } from "vitest";
import { quantizedSuite } from "../../ir/test/support/quantized-suite.ts";
import { runOn } from "../../backend-cpu/test/every-backend.ts";
import { backendOf, describeOnMetal, expectNoFaults, strictest } from "./variants.ts";

describeOnMetal("quantized KV caches", () => {
  afterEach(expectNoFaults);
  quantizedSuite((...args) => runOn(backendOf(strictest))(...args));
});

test("what has no kernel, and why", () => {
  const why = (def: AnyOpDef, ...inputs: readonly (readonly [DType, ...number[]])[]): true | string | undefined => {
    const views = inputs.map(([dtype, ...shape]) => ({ dtype, shape, weight: false }));
    return metalKernels.find(({ op }) => op === def.name)?.accepts({ def, attrs: {}, inputs: views, outputs: [] });
  };
  expect(why(ops.fwht, ["f32", 1, 8192])).toBe(true);
  expect(why(ops.fwht, ["f32", 1, 16384])).toBe("rows of 16384 values, at most 8192 are supported");
  expect(why(ops.kvWrite, ["f64", 1, 4, 8], ["f64", 1, 1, 8])).toBe(true);
  expect(why(ops.kvWrite, ["f64", 1, 4, 8], ["f32", 1, 1, 8])).toBe("metal has no f64");
  expect(why(ops.kvWritePair, ["f32", 1, 4, 8], ["q8_0", 1, 4, 32], ["f32", 1, 1, 8], ["f64", 1, 1, 8])).toBe("metal has no f64");
  expect(why(ops.kvQuantize, ["u8", 1, 4, 16], ["f32", 1, 4, 1], ["f64", 1, 1, 16])).toBe("metal has no f64");
  expect(why(ops.rope, ["f32", 1, 1, 8], ["f64", 1, 4], ["f64", 1, 4])).toBe("metal has no f64");
});
