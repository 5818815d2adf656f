import { afterEach } from "vitest";
import { activeExtentSuite } from "../../runtime/test/suites/active-extent.ts";
import { outputsSuite } from "../../runtime/test/suites/outputs.ts";
import { randomStatesSuite } from "../../runtime/test/suites/random-states.ts";
import { stateSuite } from "../../runtime/test/suites/state.ts";
import { describeOnMetal, expectNoFaults, openSession, strictest } from "./variants.ts";

afterEach(expectNoFaults);

describeOnMetal("states", () => stateSuite(() => openSession(strictest)));
describeOnMetal("active extents", () => activeExtentSuite(() => openSession(strictest)));
describeOnMetal("outputs", () => outputsSuite(() => openSession(strictest)));
describeOnMetal("random graphs on states", () => randomStatesSuite(() => openSession(strictest), 30));
