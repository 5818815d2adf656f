import { Session } from "@rlxjs/runtime";
import { describe } from "vitest";
import { backends, runOn } from "./every-backend.ts";
import { kvGraphSuite } from "./suites/kv-graphs.ts";
import { kvWriteSuite } from "./suites/kv-write.ts";

describe.each(Object.entries(backends))("%s", (_, backend) => kvWriteSuite(runOn(backend)));
describe.each(["reference", "native"] as const)("%s graphs", (kernels) => kvGraphSuite(() => Session.open({ device: "cpu", kernels })));
