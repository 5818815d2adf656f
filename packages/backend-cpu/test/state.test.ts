import { Session } from "@rlxjs/runtime";
import { describe } from "vitest";
import { stateSuite } from "../../runtime/test/suites/state.ts";
import "@rlxjs/backend-cpu";

describe.each(["reference", "native"] as const)("%s kernels", (kernels) => stateSuite(() => Session.open({ device: "cpu", kernels })));
