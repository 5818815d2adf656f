import { afterEach } from "vitest";
import { runOn } from "../../backend-cpu/test/every-backend.ts";
import { kvBitsSuite } from "../../backend-cpu/test/suites/kv-bits.ts";
import { backendOf, describeOnMetal, expectNoFaults, variants } from "./variants.ts";

// In the fast build, for there is much to encode; the samples of the ops run in all variants.
const [variant = { name: "none" }] = variants;

describeOnMetal("bits of quantized KV caches", () => {
  afterEach(expectNoFaults);
  kvBitsSuite({ metal: (...args) => runOn(backendOf(variant))(...args) }, { counted: true });
});
