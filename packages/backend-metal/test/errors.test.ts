import { float, read, slot, status, uint, write } from "@rlxjs/backend-metal";
import { KernelError } from "@rlxjs/runtime";
import { expect, test } from "vitest";
import type { MetalDevice } from "../src/device.ts";
import { MetalError } from "../src/errors.ts";
import { bytes, call, f32, HandMade, openDevice, theAddon, values } from "./hand-made.ts";
import { describeOnMetal, takeFaults } from "./variants.ts";

/** y = x * 2 */
function doubling(): HandMade {
  const make = new HandMade();
  const [x, y] = [make.buffer("input"), make.buffer("output")];
  return make.scale(x, y, 2);
}
/** The device still works. */
function expectWorks(device: MetalDevice): void {
  using loaded = doubling().load(device);
  const y = bytes(8);
  loaded.runSync(call(2, [f32(1, 2)], [y]));
  expect(values(y)).toEqual([2, 4]);
}
function thrown(body: () => unknown): unknown {
  try {
    body();
  } catch (error) {
    return error;
  }
  return expect.fail("nothing was thrown");
}
const refusing = (): HandMade => {
  const make = new HandMade();
  const [x, s, y] = [make.buffer("input"), make.buffer("state", [4]), make.buffer("output")];
  make.scale(x, y, 1).refuse(x, 3).refuse(x, 1);
  return make.launch("accumulate", { buffers: [read(x), write(s)], grid: { threads: [4, 1, 1] } });
};

describeOnMetal("what goes wrong", () => {
  const { software } = theAddon();

  test("a shader that does not compile: the compiler's words, and the lines of the source", () => {
    using device = openDevice();
    const make = new HandMade(
      '#include <metal_stdlib>\nusing namespace metal;\n#line 40 "scale.metal"\nkernel void scale() { int x = frobnicate(); }',
    );
    make.launch("scale", {});
    const error = thrown(() => make.load(device));
    expect(error).toBeInstanceOf(MetalError);
    expect(error).toMatchObject({ code: "ERR_SHADER", kind: "shader" });
    expect(String(error)).toContain('graph "hand-made": library "hand-made" does not compile:\n');
    expect(String(error)).toMatch(/scale\.metal:40:\d+: error: .*frobnicate/);
    expectWorks(device);
  });

  test("functions that are not there, and function constants that are missing or of another type", () => {
    using device = openDevice();
    const load = (name: string, constants: Parameters<HandMade["launch"]>[1]["constants"]) => () =>
      new HandMade().launch(name, constants ? { constants } : {}).load(device);
    expect(load("shrink", [])).toThrow(/function "shrink": .*shrink/);
    expect(load("scale", [])).toThrow(/function "scale": .*(FACTOR|constant)/);
    expect(load("scale", [{ index: 0, type: "float", value: 1 }])).toThrow(/function "scale": .*(FACTOR|constant)/);
    expectWorks(device);
  });

  test.skipIf(!software)("functions that take fewer threads than they are launched with", () => {
    using device = openDevice({ maxThreads: 32 });
    expect(() => doubling().load(device)).toThrowErrorMatchingInlineSnapshot(
      `[MetalError: graph "hand-made": function scale takes at most 32 threads per threadgroup on this device, and is launched with 64]`,
    );
  });

  test.skipIf(!software)("memory that is not there: for buffers, for programs, for runs", () => {
    using device = openDevice({ memory: 100_000 });
    expect(thrown(() => device.allocate(200_000))).toMatchObject({
      code: "ERR_DEVICE_MEMORY",
      kind: "memory",
      message: "metal: cannot allocate 200000 bytes for a buffer",
    });
    const large = new HandMade();
    large.scale(large.arena([50_000]), large.buffer("output", [50_000]), 1);
    expect(thrown(() => large.load(device))).toMatchObject({
      kind: "memory",
      message: 'graph "hand-made": cannot allocate 200000 bytes for the arena',
    });
    using loaded = doubling().load(device);
    const rest = device.allocate(90_000);
    const run = (): void => loaded.runSync(call(2, [f32(1, 2)], [bytes(8)]));
    expect(thrown(run)).toMatchObject({ kind: "memory", message: 'graph "hand-made": cannot allocate 16384 bytes for an input' });
    rest[Symbol.dispose]();
  });

  test("a step that refuses its operands: the first one in the order of the program, in its words", async () => {
    using device = openDevice();
    using loaded = refusing().load(device);
    const state = device.allocate(16);
    const y = f32(9, 9, 9, 9);
    const run = (...x: number[]) => call(4, [f32(...x)], [y], { states: [state] });
    const error = thrown(() => loaded.runSync(run(1, 5, 3, 6)));
    expect(error).toBeInstanceOf(KernelError);
    expect(error).toMatchObject({
      step: 1,
      op: "refuse",
      message: 'graph "hand-made": step 1 refuse (hand-made): step 1 refuses with 7: 6,-1,1099511627776',
    });
    await expect(loaded.run(run(1, 5, 3, 0))).rejects.toMatchObject({
      step: 2,
      message: 'graph "hand-made": step 2 refuse (hand-made): step 2 refuses with 7: 5,-1,1099511627776',
    });
    expect(values(y), "outputs of a run that failed are not delivered").toEqual([9, 9, 9, 9]);
    await loaded.run(run(1, 0, 3, 0));
    expect(values(y)).toEqual([1, 0, 3, 0]);
    expect(loaded.stats().runs).toBe(1);
  });

  test("a kernel that reaches behind its memory: the run fails, the device goes on", async () => {
    using device = openDevice();
    const make = new HandMade();
    const [x, y] = [make.buffer("input", [4]), make.buffer("output", [4])];
    make.launch("overrun", { args: [uint(1 << 20)], buffers: [read(x), write(y)], grid: { threads: [4, 1, 1] } });
    using loaded = make.load(device);
    if (!software) return expectWorks(device);
    await expect(loaded.run(call(0, [bytes(16)], [bytes(16)]))).rejects.toMatchObject({
      name: "MetalError",
      code: "ERR_DEVICE_FAULT",
      kind: "fault",
    });
    const error = thrown(() => loaded.runSync(call(0, [bytes(16)], [bytes(16)], { trace: () => {} })));
    expect(String(error)).toMatch(/graph "hand-made": step 0 overrun: .*overrun/);
    expect(takeFaults().map((f) => [f.kind, f.kernel])).toContainEqual(["bounds", "overrun"]);
    expectWorks(device);
  });

  test.skipIf(!software)("a device that is lost: runs in flight and later ones fail, another device works", async () => {
    using device = openDevice();
    using loaded = doubling().load(device);
    const runs = [loaded.run(call(4096, [bytes(16_384)], [bytes(16_384)]))];
    software?.loseDevices();
    const ended = await Promise.allSettled(runs);
    for (const end of ended) if (end.status === "rejected") expect(end.reason).toMatchObject({ kind: "lost", code: "ERR_DEVICE_LOST" });
    expect(thrown(() => loaded.runSync(call(1, [f32(1)], [bytes(4)])))).toMatchObject({ kind: "lost" });
    expect(() => device.allocate(16)).toThrow(MetalError);
    using another = openDevice();
    expectWorks(another);
  });

  test("an executable does one run at a time, and none after it is closed", async () => {
    using device = openDevice();
    const loaded = doubling().load(device);
    const y = bytes(8);
    const run = loaded.run(call(2, [f32(1, 2)], [y]));
    await expect(loaded.run(call(2, [f32(1, 2)], [y]))).rejects.toThrow("a run is under way");
    loaded[Symbol.dispose]();
    await run;
    expect(values(y)).toEqual([2, 4]);
    expect(() => loaded.runSync(call(2, [f32(1, 2)], [y]))).toThrow("the executable is closed");
    expect(loaded.stats().gpu?.commandBuffers).toBe(1);
    loaded[Symbol.dispose]();

    const closing = openDevice();
    using left = doubling().load(closing);
    closing[Symbol.dispose]();
    expect(() => left.runSync(call(2, [f32(1, 2)], [y]))).toThrow("the device is closed");
    expect(() => closing.allocate(16)).toThrow("the device is closed");
    expect(() => doubling().load(closing)).toThrow("the device is closed");
  });

  test("slots are their steps'", () => {
    using device = openDevice();
    const make = new HandMade();
    const x = make.buffer("input");
    const refuse = { args: [slot, uint(0)], buffers: [read(x), status("atomic" as const)] };
    make
      .launch("idle", {})
      .launch("refuse", refuse, { refuses: true })
      .launch("idle", { args: [float(1)] });
    using loaded = make.load(device);
    expect(thrown(() => loaded.runSync(call(1, [f32(2)], [])))).toMatchObject({
      step: 1,
      message: expect.stringContaining("step 1 refuses with 7: 2,"),
    });
  });
});
