import { Session } from "@rlxjs/runtime";
import { describe } from "vitest";
import { handlesSuite } from "../../runtime/test/suites/handles.ts";
import "@rlxjs/backend-cpu";

describe.each(["reference", "native"] as const)("%s kernels", (kernels) => handlesSuite(() => Session.open({ device: "cpu", kernels })));
