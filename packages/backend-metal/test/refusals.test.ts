import { createReferenceBackend } from "@rlxjs/backend-cpu";
import { expect, test } from "vitest";
import { refusalsOf } from "../../backend-cpu/test/refusals.ts";
import { metalKernels } from "../src/kernels/index.ts";
import { backendOf, describeVariants, expectNoFaults } from "./variants.ts";

/** Which of an op's kernels runs is the backend's business. */
const names = new Map(metalKernels.map((kernel) => [kernel.op, kernel.name]));

describeVariants("steps that refuse their operands", (variant) => {
  test("say what the references say, and leave what they write as it was", () => {
    const expected = refusalsOf(createReferenceBackend(), () => "reference");
    expect(refusalsOf(backendOf(variant), (def) => names.get(def.name) ?? "no kernel")).toBe(expected);
    expectNoFaults();
  });
});
