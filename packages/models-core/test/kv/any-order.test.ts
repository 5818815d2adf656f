import { Session } from "@rlxjs/runtime";
import { describe } from "vitest";
import { anyOrderSuite } from "./suites/any-order.ts";
import "@rlxjs/backend-cpu";

describe("cpu", () => anyOrderSuite(() => Session.open({ device: "cpu", threads: 1 })));
