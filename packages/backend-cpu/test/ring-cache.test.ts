import { Session } from "@rlxjs/runtime";
import { describe } from "vitest";
import "@rlxjs/backend-cpu";
import { ringCacheSuite } from "./suites/ring-cache.ts";

describe.each(["reference", "native"] as const)("%s kernels", (kernels) => ringCacheSuite(() => Session.open({ device: "cpu", kernels })));
