import { afterEach } from "vitest";
import { packedPrefillSuite } from "../../../models-core/test/kv/suites/prefill.ts";
import { describeOnMetal, expectNoFaults, fastest, openSession } from "../variants.ts";

afterEach(expectNoFaults);

describeOnMetal("prefill", () => packedPrefillSuite(() => openSession(fastest)));
