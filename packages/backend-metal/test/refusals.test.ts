import { createReferenceBackend } from "@rlxjs/backend-cpu";
import { metalKernels } from "@rlxjs/backend-metal";
import { expect, test } from "vitest";
import { linesOf, refusalsOf } from "../../backend-cpu/test/refusals.ts";
import { backendOf, describeVariants, expectNoFaults } from "./variants.ts";

const kernels = new Set(metalKernels.map(({ name }) => name));

describeVariants("steps that refuse their operands", (variant) => {
  test("say what the references say, and leave what they write as it was", () => {
    const said = refusalsOf(backendOf(variant));
    expect(linesOf(said)).toBe(linesOf(refusalsOf(createReferenceBackend())));
    expect(said.filter(({ kernel }) => !kernels.has(kernel))).toEqual([]);
    expectNoFaults();
  });
});
