import { floatDTypes } from "@rlxjs/ir";
import { afterEach } from "vitest";
import { runOn } from "../../backend-cpu/test/every-backend.ts";
import { kvGraphSuite } from "../../backend-cpu/test/suites/kv-graphs.ts";
import { kvWriteSuite } from "../../backend-cpu/test/suites/kv-write.ts";
import { backendOf, describeOnMetal, expectNoFaults, openSession, strictest } from "./variants.ts";

describeOnMetal("writes into KV caches", () => {
  afterEach(expectNoFaults);
  kvWriteSuite((...args) => runOn(backendOf(strictest))(...args), { dtypes: floatDTypes.filter((d) => d !== "f64"), numRuns: 40 });
  kvGraphSuite(() => openSession(strictest));
});
