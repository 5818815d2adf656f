import { Session } from "@rlxjs/runtime";
import { describe } from "vitest";
import { residentKvSuite } from "./suites/resident.ts";
import "@rlxjs/backend-cpu";

describe("cpu", () => residentKvSuite(() => Session.open({ device: "cpu", threads: 1 })));
