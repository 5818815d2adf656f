import { Session } from "@rlxjs/runtime";
import { describe } from "vitest";
import { randomStatesSuite } from "../../runtime/test/suites/random-states.ts";
import "@rlxjs/backend-cpu";

describe.each(["reference", "native"] as const)("%s kernels", (kernels) =>
  randomStatesSuite(() => Session.open({ device: "cpu", kernels })),
);
