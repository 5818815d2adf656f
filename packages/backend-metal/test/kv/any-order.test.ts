import { afterEach } from "vitest";
import { anyOrderSuite } from "../../../models-core/test/kv/suites/any-order.ts";
import { describeOnMetal, expectNoFaults, fastest, openSession } from "../variants.ts";

afterEach(expectNoFaults);

describeOnMetal("uses in any order", () => anyOrderSuite(() => openSession(fastest), 12));
