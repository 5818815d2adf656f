import { Session } from "@rlxjs/runtime";
import { describe } from "vitest";
import { bucketedDecodeSuite } from "./suites/decode.ts";
import "@rlxjs/backend-cpu";

describe("cpu", () => bucketedDecodeSuite(() => Session.open({ device: "cpu", threads: 1 })));
