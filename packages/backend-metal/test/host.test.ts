import { expect, test } from "vitest";
import { bytes, call, f32, HandMade, n, openDevice, values } from "./hand-made.ts";
import { describeOnMetal, expectNoFaults } from "./variants.ts";

describeOnMetal("the host", () => {
  test("a program runs in one command buffer, with barriers where launches depend on each other", async () => {
    using device = openDevice();
    const make = new HandMade();
    const [x, a, b, y] = [make.buffer("input"), make.arena(), make.arena(), make.buffer("output")];
    make.scale(x, a, 2).scale(x, b, 3).accumulate(a, b).scale(b, y, 1);
    using loaded = make.load(device);
    const out = bytes(12);
    await loaded.run(call(3, [f32(1, 2, 3)], [out]));
    expect(values(out)).toEqual([5, 10, 15]);
    const { gpu, ...stats } = loaded.stats();
    expect(stats).toMatchObject({ runs: 1, nativeCalls: 1, hostSteps: 0 });
    expect(gpu).toMatchObject({ commandBuffers: 1, waits: 1, launches: 4, barriers: 2, copiedBytes: 24 });
    expect(gpu?.gpuMicros).toBeGreaterThan(0);
    loaded.runSync(call(2, [f32(4, 5)], [out]));
    expect(values(out)).toEqual([20, 25, 15]);
    expectNoFaults();
  });
});
