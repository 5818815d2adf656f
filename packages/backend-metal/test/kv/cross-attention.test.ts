import { afterEach } from "vitest";
import { crossAttentionSuite } from "../../../models-core/test/kv/suites/cross-attention.ts";
import { describeOnMetal, expectNoFaults, fastest, openSession } from "../variants.ts";

afterEach(expectNoFaults);

describeOnMetal("cross attention", () => crossAttentionSuite(() => openSession(fastest)));
