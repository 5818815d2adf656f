import { afterEach } from "vitest";
import { residentKvSuite } from "../../../models-core/test/kv/suites/resident.ts";
import { describeOnMetal, expectNoFaults, fastest, openSession } from "../variants.ts";

afterEach(expectNoFaults);

describeOnMetal("caches on the device", () => residentKvSuite(() => openSession(fastest), [{ batch: 2, kvHeads: [4, 1] }]));
