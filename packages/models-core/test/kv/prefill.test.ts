import { Session } from "@rlxjs/runtime";
import { describe } from "vitest";
import { packedPrefillSuite } from "./suites/prefill.ts";
import "@rlxjs/backend-cpu";

describe("cpu", () => packedPrefillSuite(() => Session.open({ device: "cpu", threads: 1 })));
