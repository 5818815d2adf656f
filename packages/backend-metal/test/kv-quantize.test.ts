import { afterEach } from "vitest";
import { quantizedSuite } from "../../ir/test/support/quantized-suite.ts";
import { runOn } from "../../backend-cpu/test/every-backend.ts";
import { backendOf, describeOnMetal, expectNoFaults, strictest } from "./variants.ts";

describeOnMetal("quantized KV caches", () => {
  afterEach(expectNoFaults);
  quantizedSuite((...args) => runOn(backendOf(strictest))(...args));
});
