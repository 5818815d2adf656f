import { afterEach } from "vitest";
import type { TwoWays } from "../../backend-cpu/test/suites/attention-problem.ts";
import { backendOf, describeOnMetal, expectNoFaults, fastest, strictest } from "./variants.ts";

/** A suite on the variant that is fastest and on the one that tells most. */
export const describeTwoWays = (title: string, suite: (ways: TwoWays) => void): void =>
  describeOnMetal(title, () => {
    afterEach(expectNoFaults);
    suite({ one: () => backendOf(fastest), two: () => backendOf(strictest), sameAlone: false });
  });
