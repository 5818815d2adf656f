import { Session } from "@rlxjs/runtime";
import { describe } from "vitest";
import { bucketedMtpSuite } from "../kv/suites/mtp.ts";
import "@rlxjs/backend-cpu";

describe("cpu", () => bucketedMtpSuite(() => Session.open({ device: "cpu", threads: 1 })));
