import { Session } from "@rlxjs/runtime";
import { describe } from "vitest";
import { randomHandlesSuite } from "../../runtime/test/suites/random-handles.ts";
import "@rlxjs/backend-cpu";

describe.each(["reference", "native"] as const)("%s kernels", (kernels) =>
  randomHandlesSuite(() => Session.open({ device: "cpu", kernels })),
);
