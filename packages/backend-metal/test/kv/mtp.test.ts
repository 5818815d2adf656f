import { afterEach } from "vitest";
import { bucketedMtpSuite } from "../../../models-core/test/kv/suites/mtp.ts";
import { describeOnMetal, expectNoFaults, fastest, openSession } from "../variants.ts";

afterEach(expectNoFaults);

describeOnMetal("several tokens per step", () =>
  bucketedMtpSuite(
    () => openSession(fastest),
    [
      { past: "padded", where: "host" },
      { past: "state", where: "resident" },
    ],
  ),
);
