import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { Rng, randomTensor } from "@rlxjs/ir";
import type { DeviceBuffer } from "@rlxjs/runtime";
import { afterAll, expect, test } from "vitest";
import type { SoftwareCounters } from "../src/addon.ts";
import type { MetalDevice } from "../src/device.ts";
import type { MetalExecutable } from "../src/executable.ts";
import { bytes, call, f32, HandMade, openDevice, theAddon, values } from "./hand-made.ts";
import { describeOnMetal, expectNoFaults } from "./variants.ts";

const folder = mkdtempSync(join(tmpdir(), "rlxjs-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** A busy machine takes its time. */
const patient = { timeout: 30_000 };
const held = (view: Uint8Array<ArrayBuffer>): DeviceBuffer => ({ bytes: view, [Symbol.dispose]: () => {} });
const copied = (loaded: MetalExecutable): number | undefined => loaded.stats().gpu?.copiedBytes;

/** y = x * 2; s += x */
function scaled(device: MetalDevice, more?: (make: HandMade) => void): MetalExecutable {
  const make = new HandMade();
  const [x, s, y] = [make.buffer("input", [4]), make.buffer("state", [4]), make.buffer("output", [4])];
  make.scale(x, y, 2).accumulate(x, s);
  more?.(make);
  return make.load(device);
}
/** y = w[i] * 1, once per weight. */
function weighted(device: MetalDevice, weights: readonly Uint8Array<ArrayBuffer>[]): MetalExecutable {
  const make = new HandMade();
  const bound = weights.map((bytes) => {
    const w = make.weight([bytes.length / 4]);
    make.scale(w, make.buffer("output", w.shape), 1);
    return bytes;
  });
  const all = make.program.buffers.map((b, i) => (b.kind === "weight" ? bound[i / 2] : undefined));
  return make.load(device, all);
}

describeOnMetal("memory of runs", () => {
  const counters = (): SoftwareCounters | undefined => theAddon().software?.counters();

  test("memory of the device is used where it is, other memory is copied", () => {
    using device = openDevice();
    using loaded = scaled(device);
    const memory = device.allocate(256).bytes;
    const part = (at: number): Uint8Array<ArrayBuffer> => memory.subarray(at, at + 16);
    const [state, y] = [part(64), part(128)];
    part(0).set(f32(1, 2, 3, 4));
    loaded.runSync(call(0, [part(0)], [y], { states: [held(state)] }));
    expect(values(y)).toEqual([2, 4, 6, 8]);
    expect(copied(loaded), "states at an offset, input and output in place").toBe(0);

    // Neither at a multiple of 16, nor of the device.
    part(8).set(f32(1, 1, 1, 1));
    const plain = bytes(16);
    loaded.runSync(call(0, [part(8)], [plain], { states: [held(state)] }));
    expect(values(plain)).toEqual([2, 2, 2, 2]);
    expect(copied(loaded)).toBe(32);
    const odd = new Uint8Array(24).subarray(3, 19);
    loaded.runSync(call(0, [odd], [part(136)], { states: [held(state)] }));
    expect(values(part(136))).toEqual([0, 0, 0, 0]);
    expect(copied(loaded)).toBe(64);
    loaded.runSync(call(0, [part(0)], [undefined], { states: [held(state)] }));
    expect(copied(loaded), "an output that nobody takes is not copied").toBe(64);
    expect(values(state)).toEqual([3, 5, 5, 6]);
    expectNoFaults();
  });

  test("states are memory of the device, and stay where they are", () => {
    using device = openDevice();
    using other = openDevice();
    using loaded = scaled(device);
    const run = (state: Uint8Array<ArrayBuffer>) => () =>
      loaded.runSync(call(0, [f32(1, 2, 3, 4)], [undefined], { states: [held(state)] }));
    const good = device.allocate(32).bytes;
    for (const state of [bytes(16), good.subarray(8, 24), good.subarray(16, 20), other.allocate(16).bytes])
      expect(run(state)).toThrow("state 0: expected 16 bytes of this device's memory at a multiple of 16");
    expect(() => loaded.runSync(call(0, [f32(1, 2, 3, 4)], [undefined]))).toThrow("state 0");
    run(good.subarray(16))();
    expect(values(good)).toEqual([0, 0, 0, 0, 1, 2, 3, 4]);
  });

  test("buffers are checked at the extents of the run", () => {
    using device = openDevice();
    const make = new HandMade();
    const [x, y] = [make.buffer("input"), make.buffer("output")];
    make.scale(x, y, 1);
    using loaded = make.load(device);
    const attempt = (extent: number, input: number, output: number) => (): void =>
      loaded.runSync(call(extent, [bytes(input)], [bytes(output)]));
    expect(attempt(4, 12, 16)).toThrow("input buffer 0: expected 16 bytes, got 12");
    expect(attempt(4, 16, 12)).toThrow("output buffer 1: expected 16 bytes, got 12");
    expect(attempt(4097, 20_000, 20_000)).toThrow("extent 0 is out of its bounds");
    expect(attempt(1.5, 20_000, 20_000)).toThrow("extent 0 is out of its bounds");
    expect(() => loaded.runSync({ ...call(4, [], []), inputs: [] })).toThrow("input 0 is missing");
    expect(() => loaded.runSync({ ...call(4, [], []), extents: [] })).toThrow("expected 1 extents, got 0");
    attempt(4, 16, 20)();
  });

  test("weights of mapped files are read in place, by as few buffers as there are files", () => {
    using device = openDevice();
    const path = join(folder, "weights.bin");
    const data = randomTensor(new Rng(5), "f32", [10_000]).bytes;
    writeFileSync(path, data);
    const file = device.mapFile(path);
    const before = counters();
    const parts = [file.view(0, 400), file.view(16_384, 1600), file.view(39_936, 64)];
    using one = weighted(device, parts);
    using two = weighted(device, parts.slice(0, 1));
    const after = counters();
    // Three buffers of each program's own: its arena, its status and an empty one. The file is one more, for both.
    if (before && after) expect(after.buffers - before.buffers).toBe(7);
    if (before && after) expect(after.bytes - before.bytes, "memory of the programs' own").toBeLessThan(1000);
    const outputs = parts.map((p) => bytes(p.length));
    one.runSync(call(0, [], outputs));
    expect(outputs).toEqual([data.slice(0, 400), data.slice(16_384, 17_984), data.slice(39_936)]);
    file[Symbol.dispose]();
    expect(parts.map((p) => p.length)).toEqual([0, 0, 0]);
    const again = parts.map((_, i) => bytes(outputs[i]?.length ?? 0));
    one.runSync(call(0, [], again));
    expect(again, "the pages stay as long as a program uses them").toEqual(outputs);
    const first = bytes(400);
    two.runSync(call(0, [], [first]));
    expect(first).toEqual(outputs[0]);
  });

  test("files that are longer than a buffer can be are mapped in windows", () => {
    const page = 16_384;
    using device = openDevice({}, { maxMappedBytes: 4 * page });
    const path = join(folder, "long.bin");
    const data = randomTensor(new Rng(6), "f32", [(10 * page) / 4]).bytes;
    writeFileSync(path, data);
    using file = device.mapFile(path);
    // Within a window, across the end of one, as long as a window can be, and at the end of the file.
    const ranges = [
      [0, 64],
      [2 * page - 32, 64],
      [4 * page - 16, 2 * page],
      [3 * page + 64, 3 * page - 64],
      [9 * page, page],
    ] as const;
    using loaded = weighted(
      device,
      ranges.map(([at, length]) => file.view(at, length)),
    );
    const outputs = ranges.map(([, length]) => bytes(length));
    loaded.runSync(call(0, [], outputs));
    for (const [i, [at, length]] of ranges.entries()) expect(outputs[i]).toEqual(data.slice(at, at + length));
  });

  test("weights elsewhere are copied once, whoever uses them", () => {
    using device = openDevice();
    const path = join(folder, "odd.bin");
    writeFileSync(path, new Uint8Array([...bytes(8), ...f32(5, 6)]));
    using file = device.mapFile(path);
    const plain = new Uint8Array(32).subarray(4, 20);
    plain.set(f32(1, 2, 3, 4));
    const weights = [plain, file.view(8, 8), plain];
    const before = counters();
    using one = weighted(device, weights);
    using two = weighted(device, weights);
    const after = counters();
    if (before && after) expect(after.buffers - before.buffers).toBe(2 * 3 + 2);
    const outputs = [bytes(16), bytes(8), bytes(16)];
    one.runSync(call(0, [], outputs));
    expect(outputs.map(values)).toEqual([
      [1, 2, 3, 4],
      [5, 6],
      [1, 2, 3, 4],
    ]);
    two.runSync(call(0, [], outputs));
    expect(() => weighted(device, [bytes(0)]).runSync(call(0, [], [bytes(0)]))).not.toThrow();
    plain.set(f32(9), 4);
    using changed = weighted(device, [plain]);
    changed.runSync(call(0, [], [outputs[0]]));
    expect(values(outputs[0] ?? bytes(0)), "written into since").toEqual([1, 9, 3, 4]);
    const make = new HandMade();
    make.scale(make.weight([4]), make.buffer("output", [4]), 1);
    expect(() => make.load(device, [bytes(12), undefined])).toThrow("weight in buffer 0: expected 16 bytes, got 12");
  });

  test("memory that a run uses outlives what held it", async () => {
    using device = openDevice();
    using loaded = scaled(device);
    const [x, s, y] = [device.allocate(16), device.allocate(16), device.allocate(16)];
    x.bytes.set(f32(1, 2, 3, 4));
    const kept = y.bytes;
    const run = loaded.run(call(0, [x.bytes], [kept], { states: [s] }));
    x[Symbol.dispose]();
    s[Symbol.dispose]();
    expect(x.bytes.length).toBe(0);
    await run;
    expect(values(kept)).toEqual([2, 4, 6, 8]);
    y[Symbol.dispose]();
    expectNoFaults();
  });

  test.skipIf(!theAddon().software)("a thousand runs leave nothing behind", async () => {
    using device = openDevice({ check: false });
    using loaded = scaled(device);
    const state = device.allocate(16);
    const [x, y] = [f32(1, 2, 3, 4), bytes(16)];
    const some = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i++) {
        if (i % 2) loaded.runSync(call(0, [x], [y], { states: [state] }));
        else await loaded.run(call(0, [x], [y], { states: [state], ...(i % 10 ? {} : { trace: () => {} }) }));
      }
    };
    const alive = () => {
      const { objects = 0, buffers = 0, commandBuffers = 0, bytes: length = 0 } = counters() ?? {};
      return { objects, buffers, commandBuffers, length };
    };
    await some(20);
    await expect.poll(() => alive().commandBuffers, patient).toBe(0);
    const before = alive();
    const rss = process.memoryUsage().rss;
    await some(1000);
    // What earlier tests left may go meanwhile.
    const grown = () => Object.entries(alive()).filter(([name, count]) => count > before[name as keyof typeof before]);
    await expect.poll(grown, patient).toEqual([]);
    expect(process.memoryUsage().rss - rss).toBeLessThan(32 * 2 ** 20);
    expect(values(state.bytes)).toEqual([1020, 2040, 3060, 4080]);
  });

  test.skipIf(!theAddon().software)("what is disposed is gone", async () => {
    await setImmediate();
    const before = counters();
    for (let i = 0; i < 20; i++) {
      using device = openDevice();
      using loaded = scaled(device);
      const state = device.allocate(16);
      loaded.runSync(call(0, [f32(1, 2, 3, 4)], [bytes(16)], { states: [state] }));
      state[Symbol.dispose]();
    }
    // Node tells that an array's memory is free in a task of its own, and the last command buffer goes on the device's thread.
    await expect.poll(() => (counters()?.buffers ?? 0) - (before?.buffers ?? 0), patient).toBeLessThanOrEqual(0);
    await expect.poll(() => (counters()?.objects ?? 0) - (before?.objects ?? 0), patient).toBeLessThanOrEqual(0);
  });
});
