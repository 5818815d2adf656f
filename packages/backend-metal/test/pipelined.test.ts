import { afterEach } from "vitest";
import { pipelinedSuite } from "../../runtime/test/suites/pipelined.ts";
import { describeOnMetal, expectNoFaults, openSession, strictest } from "./variants.ts";

afterEach(expectNoFaults);

describeOnMetal("queued runs", () => pipelinedSuite(() => openSession(strictest)));
