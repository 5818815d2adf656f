import { setImmediate } from "node:timers/promises";
import { expect, test } from "vitest";
import { exposeGc } from "../../backend-cpu/test/gc.ts";
import type { MetalExecutable } from "../src/executable.ts";
import { bytes, call, f32, HandMade, openDevice, values } from "./hand-made.ts";
import { describeOnMetal, expectNoFaults } from "./variants.ts";

/** y = x * 2, on a device that nothing else holds. */
function doubled(): MetalExecutable {
  const make = new HandMade();
  return make.scale(make.buffer("input", [4]), make.buffer("output", [4]), 2).load(openDevice());
}

describeOnMetal("lifetimes", () => {
  test("a program keeps its device open", async () => {
    using loaded = doubled();
    const gc = exposeGc();
    for (let i = 0; i < 5; i++) {
      gc();
      await setImmediate();
    }
    const out = bytes(16);
    loaded.runSync(call(0, [f32(1, 2, 3, 4)], [out]));
    expect(values(out)).toEqual([2, 4, 6, 8]);
    expectNoFaults();
  });
});
