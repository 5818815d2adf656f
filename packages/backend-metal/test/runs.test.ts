import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { float, read, write } from "@rlxjs/backend-metal";
import { nextTask } from "@rlxjs/runtime";
import { expect, test } from "vitest";
import type { MetalDevice } from "../src/device.ts";
import type { MetalExecutable } from "../src/executable.ts";
import { bytes, call, f32, HandMade, openDevice, source, theAddon, values } from "./hand-made.ts";
import { describeOnMetal, expectNoFaults } from "./variants.ts";

/** s += x, many times: a run that takes a while. */
function slow(device: MetalDevice, times = 200): MetalExecutable {
  const make = new HandMade();
  const [x, s] = [make.buffer("input"), make.buffer("state")];
  for (let i = 0; i < times; i++) make.accumulate(x, s);
  return make.load(device);
}

describeOnMetal("runs", () => {
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

  test("many executables of a device run in the order in which they were asked to", async () => {
    using device = openDevice({ check: false });
    const state = device.allocate(4096 * 4);
    // Each doubles the state, or adds 1 to it: another order gives another value.
    const executables = Array.from({ length: 12 }, (_, i) => {
      const make = new HandMade();
      const [x, s] = [make.buffer("input"), make.buffer("state")];
      if (i % 2) make.accumulate(x, s);
      else make.launch("scale", { args: [float(2)], buffers: [read(s), write(s)] });
      return make.load(device);
    });
    const ones = new Uint8Array(Float32Array.from({ length: 4096 }, () => 1).buffer);
    const ended: number[] = [];
    await Promise.all(executables.map((e, i) => e.run(call(4096, [ones], [], { states: [state] })).then(() => ended.push(i))));
    const expected = executables.reduce((value, _, i) => (i % 2 ? value + 1 : value * 2), 0);
    expect(new Set(values(state.bytes))).toEqual(new Set([expected]));
    expect(ended).toEqual(executables.map((_, i) => i));
    for (const e of executables) e[Symbol.dispose]();
  });

  test("a run leaves the event loop free", async () => {
    using device = openDevice({ check: false });
    using loaded = slow(device);
    const state = device.allocate(4096 * 4);
    let over = false;
    const run = loaded.run(call(4096, [bytes(4096 * 4)], [], { states: [state] })).finally(() => {
      over = true;
    });
    let turns = 0;
    for (; !over; turns++) await nextTask();
    await run;
    // Thousands; a run that holds the loop leaves one.
    if (theAddon().software) expect(turns).toBeGreaterThan(10);
  });

  test("a signal stops a run before it begins, and rejects one that has begun when it has ended", async () => {
    using device = openDevice({ check: false });
    using loaded = slow(device);
    const state = device.allocate(4096 * 4);
    const ones = new Uint8Array(Float32Array.from({ length: 4096 }, () => 1).buffer);
    const run = (signal: AbortSignal) => loaded.run(call(4096, [ones], [], { states: [state], signal }));
    await expect(run(AbortSignal.abort("not now"))).rejects.toBe("not now");
    expect(loaded.stats()).toMatchObject({ runs: 0, nativeCalls: 0 });
    const controller = new AbortController();
    const begun = run(controller.signal);
    await nextTask();
    controller.abort("enough");
    await expect(begun).rejects.toBe("enough");
    expect(values(state.bytes)[7], "what is committed runs to its end").toBe(200);
    expect(loaded.stats()).toMatchObject({ runs: 0, nativeCalls: 1 });
    await run(new AbortController().signal);
    expect(loaded.stats().runs).toBe(1);
  });

  test("a traced run tells the time of each step, and computes the same", async () => {
    using device = openDevice();
    const make = new HandMade();
    const [x, a, b, y] = [make.buffer("input"), make.arena(), make.arena(), make.buffer("output")];
    make
      .scale(x, a, 2)
      .scale(a, b, 2, {}, { step: 0 })
      .scale(a, y, 3)
      .scale(x, y, 0, { grid: { threads: [0, 1, 1] } })
      .accumulate(b, y);
    using loaded = make.load(device);
    const traces: Float64Array[] = [];
    const [one, two, three] = [bytes(12), bytes(12), bytes(12)];
    loaded.runSync(call(3, [f32(1, 2, 3)], [one]));
    const before = loaded.stats().gpu;
    loaded.runSync(call(3, [f32(1, 2, 3)], [two], { trace: (t) => traces.push(t) }));
    await loaded.run(call(3, [f32(1, 2, 3)], [three], { trace: (t) => traces.push(t) }));
    expect([values(one), values(two), values(three)]).toEqual([
      [10, 20, 30],
      [10, 20, 30],
      [10, 20, 30],
    ]);
    expect(traces).toHaveLength(2);
    for (const micros of traces) expect([...micros].map((m) => m > 0)).toEqual([true, true, false, true]);
    const after = loaded.stats().gpu;
    expect(before).toMatchObject({ commandBuffers: 1, waits: 1, launches: 4, barriers: 2 });
    expect(after, "a command buffer per step that has launches; barriers within steps only").toMatchObject({
      commandBuffers: 7,
      waits: 3,
      launches: 12,
      barriers: 4,
    });
    const sum = traces.reduce((total, micros) => total + micros.reduce((s, m) => s + m), 0);
    expect((after?.gpuMicros ?? 0) - (before?.gpuMicros ?? 0)).toBeCloseTo(sum, 3);
    expectNoFaults();
  });

  test("labels change nothing but what captures show", () => {
    using device = openDevice({}, { labels: true });
    const make = new HandMade();
    const [x, a, y] = [make.buffer("input"), make.arena(), make.buffer("output")];
    using loaded = make.scale(x, a, 2).scale(a, y, 2).load(device);
    const out = bytes(8);
    loaded.runSync(call(2, [f32(1, 2)], [out]));
    expect(values(out)).toEqual([4, 8]);
    expectNoFaults();
  });

  test("more steps than a queue takes command buffers", () => {
    using device = openDevice({ check: false });
    using loaded = slow(device, 150);
    const state = device.allocate(4096 * 4);
    let traced = 0;
    loaded.runSync(call(1, [f32(1)], [], { states: [state], trace: (micros) => (traced = micros.length) }));
    expect([traced, values(state.bytes)[0]]).toEqual([150, 150]);
  });

  test("one library for all programs of a source, kept for a while when nobody uses it", () => {
    const { software } = theAddon();
    using device = openDevice();
    const before = software?.counters().libraries ?? 0;
    const load = (text: string): MetalExecutable => {
      const make = new HandMade(text);
      make.scale(make.buffer("input"), make.buffer("output"), 1);
      return make.load(device);
    };
    const own = `${source}\n// of this test`;
    const [a, b] = [load(own), load(own)];
    a[Symbol.dispose]();
    b[Symbol.dispose]();
    load(`${own}, too`)[Symbol.dispose]();
    load(own)[Symbol.dispose]();
    load(`${own}, too`)[Symbol.dispose]();
    if (software) expect(software.counters().libraries - before).toBe(2);
  });

  test("threads and processes that end during a run end in order", () => {
    const folder = mkdtempSync(join(tmpdir(), "rlxjs-"));
    try {
      const addon = fileURLToPath(new URL("../build/Release/rlxjs_metal.node", import.meta.url));
      const script = join(folder, "ending.cjs");
      writeFileSync(script, ending(addon, slowWords()));
      for (const how of ["exit", "fall off the end", "terminate", "leave open"]) {
        const { status, stdout, stderr } = spawnSync(process.execPath, [script, how], { encoding: "utf8", timeout: 30_000 });
        expect({ how, status, stderr }).toEqual({ how, status: 0, stderr: "" });
        expect(stdout).toBe(how === "fall off the end" || how === "leave open" ? "begun\nended\n" : "begun\n");
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

/** What native code is given for a slow run, as JSON. */
function slowWords(): unknown {
  const make = new HandMade();
  const [x, s] = [make.buffer("input"), make.arena()];
  for (let i = 0; i < 300; i++) make.accumulate(x, s);
  return make.encoded;
}

/** A program that begins a run, in a worker thread where one is to be terminated, and ends. */
const ending = (addon: string, encoded: unknown): string => `
const { Worker, isMainThread, parentPort } = require("node:worker_threads");
const how = process.argv[2];
if (isMainThread && (how === "terminate" || how === "leave open")) {
  const worker = new Worker(__filename, { argv: [how] });
  worker.on("message", (text) => {
    console.log(text);
    if (how === "terminate") worker.terminate();
  });
} else {
  const { Device } = require(${JSON.stringify(addon)});
  const { words, functions, libraries, labels, bound } = ${JSON.stringify(encoded)};
  const say = (text) => (parentPort ? parentPort.postMessage(text) : console.log(text));
  const loaded = new Device(0, false).load("slow", Float64Array.from(words), functions, libraries, labels, bound);
  const inputs = [new Uint8Array(4096 * 4)];
  loaded.run({ extents: Float64Array.of(4096), inputs, outputs: [], states: [] }).then(() => say("ended"));
  say("begun");
  if (how === "exit") process.exit(0);
}
`;
