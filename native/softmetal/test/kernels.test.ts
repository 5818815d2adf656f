import { expect, test } from "vitest";
import { cases, type Way } from "./cases.ts";
import { kernelFile, orders } from "./machine.ts";
import { describeWithToolchain } from "./toolchain.ts";

/** Three orders of threads, the fast and the checked build, one and two workers. */
const ways: Way[] = orders.flatMap((order) => [false, true].map((check) => ({ order, check, workers: order === "forward" ? 1 : 2 })));

describeWithToolchain("kernels on software Metal", () => {
  test.each(cases.map((each) => [each.name, each] as const))("%s", async (_, { file, problems }) => {
    for (const way of ways) expect([way, await problems(kernelFile(file), way)]).toEqual([way, []]);
  });
});
