import { Session } from "@rlxjs/runtime";
import { describe } from "vitest";
import { crossAttentionSuite } from "./suites/cross-attention.ts";
import "@rlxjs/backend-cpu";

describe("cpu", () => crossAttentionSuite(() => Session.open({ device: "cpu", threads: 1 })));
