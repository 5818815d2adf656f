// The kernels as arm64 code: natively there, else in emulation.
import { expect, test } from "vitest";
import { cases } from "./cases.ts";
import { execute, kernelFile } from "./machine.ts";
import { describeWithEmulator } from "./toolchain.ts";

describeWithEmulator("kernels as arm64 code", () => {
  test.each(cases.map((each) => [each.name, each] as const))("%s", async (_, { file, problems }) => {
    expect(await problems(kernelFile(file), { architecture: "arm64", order: "random", check: true, workers: 1 })).toEqual([]);
  });

  test.each([
    ["barrier_forgotten", ["race", "uninitialised"]],
    ["private_array_overrun", ["trap"]],
    ["buffer_overrun", ["bounds"]],
    ["division_by_zero", ["trap"]],
    ["divergent_sum", ["divergence"]],
  ])("%s is reported", async (kernel, kinds) => {
    const buffers = { 0: "y", 1: Uint8Array.of(5, 0, 0, 0) };
    const dispatches = [{ kernel, threadgroups: [1, 1, 1], size: [64, 1, 1], buffers }] as const;
    const { faults } = await execute({
      source: kernelFile("planted"),
      architecture: "arm64",
      check: true,
      buffers: { y: 256 },
      dispatches,
    });
    expect([...new Set(faults.map(({ kind }) => kind))].sort()).toEqual(kinds);
  });
});
