import { Session } from "@rlxjs/runtime";
import { describe } from "vitest";
import { activeExtentSuite } from "../../runtime/test/suites/active-extent.ts";
import "@rlxjs/backend-cpu";

describe.each(["reference", "native"] as const)("%s kernels", (kernels) =>
  activeExtentSuite(() => Session.open({ device: "cpu", kernels })),
);
