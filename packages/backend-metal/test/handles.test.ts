import { afterEach } from "vitest";
import { handlesSuite } from "../../runtime/test/suites/handles.ts";
import { randomHandlesSuite } from "../../runtime/test/suites/random-handles.ts";
import { describeOnMetal, expectNoFaults, openSession, strictest } from "./variants.ts";

afterEach(expectNoFaults);

describeOnMetal("handles", () => handlesSuite(() => openSession(strictest)));
describeOnMetal("random use of handles", () => randomHandlesSuite(() => openSession(strictest), 20));
