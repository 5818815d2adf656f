import { describe } from "vitest";
import { quantizedSuite } from "../../ir/test/support/quantized-suite.ts";
import { backends, runOn } from "./every-backend.ts";

describe.each(Object.entries(backends))("%s", (_, backend) => quantizedSuite(runOn(backend)));
