import { afterEach } from "vitest";
import { ringCacheSuite } from "../../backend-cpu/test/suites/ring-cache.ts";
import { describeOnMetal, expectNoFaults, openSession, strictest } from "./variants.ts";

describeOnMetal("ring caches", () => {
  afterEach(expectNoFaults);
  ringCacheSuite(() => openSession(strictest));
});
