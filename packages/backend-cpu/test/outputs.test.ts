import { Session } from "@rlxjs/runtime";
import { describe } from "vitest";
import { outputsSuite } from "../../runtime/test/suites/outputs.ts";
import "@rlxjs/backend-cpu";

describe.each(["reference", "native"] as const)("%s kernels", (kernels) => outputsSuite(() => Session.open({ device: "cpu", kernels })));
