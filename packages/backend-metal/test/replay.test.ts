// What native/metal/replay*.cpp and prepare.cpp do with one run, where other tests have nothing odd: parts of threadgroup memory, arguments of
// many launches, operands of one byte and of none, failures of several launches.
import { type Launch, read, readWrite, status, sub, uint, ulong, write } from "@rlxjs/backend-metal";
import { expect, test } from "vitest";
import type { MetalDevice } from "../src/device.ts";
import { bytes, call, f32, HandMade, n, openDevice, source, theAddon, values } from "./hand-made.ts";
import { describeOnMetal, expectNoFaults, takeFaults } from "./variants.ts";

const kernels = `${source}
constant bool FLAG [[function_constant(1)]];
constant int SIGNED [[function_constant(2)]];
constant float REAL [[function_constant(3)]];
kernel void constants(device float *y [[buffer(1)]]) { y[0] = FLAG ? 1 : 0; y[1] = SIGNED; y[2] = REAL; }

kernel void exchange(device const float *x [[buffer(1)]], device float *y [[buffer(2)]], threadgroup float *a [[threadgroup(0)]],
                     threadgroup float *b [[threadgroup(1)]], uint i [[thread_position_in_threadgroup]]) {
  a[i] = x[i];
  if (i < 4) b[i] = 100 * x[i];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  y[i] = a[15 - i] + b[i % 4];
}
kernel void rotate_by_one(device float *y [[buffer(1)]], threadgroup float *a [[threadgroup(0)]], uint i [[thread_position_in_threadgroup]]) {
  a[i] = y[i];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  y[i] = a[(i + 1) % 16];
}
kernel void next(device const uchar *x [[buffer(1)]], device uchar *y [[buffer(2)]]) { *y = *x + 1; }
struct Long { ulong a; };
kernel void tell(constant Long &args [[buffer(0)]], device float *y [[buffer(1)]]) { *y = float(args.a); }
struct Number { uint value; };
kernel void report(constant Number &args [[buffer(0)]], device Status *status [[buffer(1)]]) {
  atomic_fetch_min_explicit(&status->refused, args.value, memory_order_relaxed);
}`;
const one: Partial<Launch> = { grid: { threads: [1, 1, 1] } };
const gone = (): Uint8Array<ArrayBuffer> => {
  const view = bytes(16);
  structuredClone(view, { transfer: [view.buffer] });
  return view;
};
const held = (view: Uint8Array<ArrayBuffer>) => ({ bytes: view, [Symbol.dispose]: () => {} });

/** How native code says that a run fails; `before`: between loading and running. */
function failure(device: MetalDevice, make: HandMade, { trace = false, before = () => {} } = {}): unknown {
  const { words, functions, libraries, labels, bound } = make.encoded;
  const unbound = bound.map(() => undefined);
  const loaded = device.native.load("hand-made", Float64Array.from(words), functions, libraries, labels, unbound);
  const of = (kind: string) => make.program.buffers.filter((b) => b.kind === kind).map(({ bytes: length }) => bytes(length));
  before();
  try {
    const steps = trace ? new Float64Array(labels.length) : undefined;
    loaded.runSync({ extents: Float64Array.of(4), inputs: of("input"), outputs: of("output"), states: [], trace: steps });
  } catch (error) {
    return error;
  } finally {
    loaded.close();
  }
  return expect.fail("nothing was thrown");
}

describeOnMetal("a run", () => {
  const { software } = theAddon();

  // The first one: what other tests leave behind may go at any time.
  test.skipIf(!software)("what a run was given goes when its owner lets go, though the program stays", async () => {
    using device = openDevice();
    const make = new HandMade();
    const [x, s, y] = [make.buffer("input", [4]), make.buffer("state", [4]), make.buffer("output", [4])];
    using loaded = make.scale(x, y, 2).accumulate(x, s).load(device);
    const count = (): number => software?.counters().buffers ?? 0;
    const before = count();
    const given = [device.allocate(16), device.allocate(16), device.allocate(16)] as const;
    expect(count() - before).toBe(3);
    loaded.runSync(call(0, [given[0].bytes], [given[2].bytes], { states: [given[1]] }));
    for (const memory of given) memory[Symbol.dispose]();
    await expect.poll(count, { timeout: 30_000 }).toBe(before);
  });

  test("launches have parts of threadgroup memory of their own sizes", () => {
    using device = openDevice();
    const make = new HandMade(kernels);
    const [x, y] = [make.buffer("input", [16]), make.buffer("output", [16])];
    const threads: Partial<Launch> = { grid: { threadgroups: [1, 1, 1] }, threadsPerThreadgroup: [16, 1, 1] };
    make.launch("exchange", { buffers: [read(x), write(y)], threadgroupBytes: [64, 16], ...threads });
    make.launch("rotate_by_one", { buffers: [readWrite(y)], threadgroupBytes: [64], ...threads });
    make.launch("idle", { threadgroupBytes: [2 ** 14, 2 ** 14], ...threads });
    using loaded = make.load(device);
    const out = bytes(64);
    const counted = Array.from({ length: 16 }, (_, i) => i);
    loaded.runSync(call(0, [f32(...counted)], [out]));
    const exchanged = counted.map((i) => 15 - i + 100 * (i % 4));
    expect(values(out)).toEqual(counted.map((i) => exchanged[(i + 1) % 16]));
    expectNoFaults();
  });

  test("threadgroup memory is a multiple of 16 bytes that is not negative", () => {
    using device = openDevice();
    using loaded = new HandMade().launch("idle", { ...one, threadgroupBytes: [sub(n, 21)] }).load(device);
    expect(() => loaded.runSync(call(5, [], []))).toThrow("threadgroup memory: expected a multiple of 16 bytes, got -16");
    loaded.runSync(call(37, [], []));
  });

  test("each of many launches has its arguments", () => {
    using device = openDevice({ check: false });
    const make = new HandMade();
    const [x, y] = [make.buffer("input", [1]), make.buffer("output", [300])];
    for (let i = 0; i < 300; i++) make.scale(x, { ...y, offset: 4 * i, shape: [1] }, i);
    using loaded = make.load(device);
    const out = bytes(1200);
    loaded.runSync(call(0, [f32(2)], [out]));
    expect(values(out)).toEqual(Array.from({ length: 300 }, (_, i) => 2 * i));
    expectNoFaults();
  });

  test("operands lie in their buffers, wherever they begin", () => {
    using device = openDevice();
    const make = new HandMade();
    const x = make.buffer("input");
    using loaded = make.launch("idle", { ...one, buffers: [read({ ...x, offset: 16 })] }).load(device);
    expect(() => loaded.runSync(call(5, [bytes(20)], []))).toThrow("buffer argument 1 needs bytes [0, 20) of 20 at 16 in a buffer of 20");
  });

  test("function constants of every type, and a long argument of 0", () => {
    using device = openDevice();
    for (const flag of [0, 1]) {
      const make = new HandMade(kernels);
      const [y, z] = [make.buffer("output", [3]), make.buffer("output", [1])];
      const constants = [
        { index: 1, type: "bool", value: flag },
        { index: 2, type: "int", value: -7 },
        { index: 3, type: "float", value: 0.25 },
      ] as const;
      make
        .launch("constants", { ...one, constants, buffers: [write(y)] })
        .launch("tell", { ...one, args: [ulong(0)], buffers: [write(z)] });
      using loaded = make.load(device);
      const out = [bytes(12), f32(5)];
      loaded.runSync(call(0, [], out));
      expect(out.map(values)).toEqual([[flag, -7, 0.25], [0]]);
    }
  });

  test("operands of one byte are those bytes", () => {
    using device = openDevice();
    const make = new HandMade(kernels);
    const [x, s, w] = [make.buffer("input", [1], "u8"), make.buffer("state", [1], "u8"), make.weight([1], "u8")];
    const y = [x, s, w].map((operand) => {
      const result = make.buffer("output", [1], "u8");
      make.launch("next", { ...one, buffers: [read(operand), write(result)] });
      return result;
    });
    make.launch("next", { ...one, buffers: [read(y[0] ?? x), write(s)] });
    using loaded = make.load(
      device,
      make.program.buffers.map((b) => (b.kind === "weight" ? Uint8Array.of(7) : undefined)),
    );
    const state = device.allocate(1);
    state.bytes[0] = 5;
    const out = [bytes(1), bytes(1), bytes(1)];
    loaded.runSync(call(0, [Uint8Array.of(3)], out, { states: [state] }));
    expect([...out.map((o) => o[0]), state.bytes[0]]).toEqual([4, 6, 8, 5]);
    expect(() => loaded.runSync(call(0, [gone()], out, { states: [state] }))).toThrow("input 0 is missing");
    expect(loaded.stats().gpu?.barriers, "the state is written behind its reader and the reader of its source").toBe(1);
    expectNoFaults();
  });

  test("operands of no bytes may lie nowhere", () => {
    using device = openDevice();
    const make = new HandMade();
    const [x, s, y] = [make.buffer("input"), make.buffer("state", [0]), make.buffer("output")];
    using loaded = make
      .scale(x, y, 2)
      .launch("idle", { ...one, buffers: [read(x), write(s), write(y)] })
      .load(device);
    loaded.runSync(call(0, [gone()], [gone()], { states: [held(gone())] }));
    expect(loaded.stats().gpu).toMatchObject({ launches: 1, copiedBytes: 0 });
    expect(() => loaded.runSync(call(1, [gone()], [bytes(4)], { states: [held(gone())] }))).toThrow("input 0 is missing");
    expectNoFaults();
  });

  test.skipIf(!software)("a threadgroup may be as large as its function allows, in all directions together", () => {
    using device = openDevice({ maxThreads: 64 });
    const load =
      (...threads: [number, number, number]) =>
      () =>
        new HandMade().launch("idle", { threadsPerThreadgroup: threads }).load(device)[Symbol.dispose]();
    load(64, 1, 1)();
    load(4, 4, 4)();
    expect(load(8, 8, 2)).toThrow("takes at most 64 threads per threadgroup on this device, and is launched with 128");
    expect(load(2, 8, 8)).toThrow("takes at most 64 threads per threadgroup on this device, and is launched with 128");
  });

  test("the GPU's time is part of the time that a run takes", () => {
    using device = openDevice();
    const make = new HandMade();
    const [x, y] = [make.buffer("input"), make.buffer("output")];
    using loaded = make.scale(x, y, 2).load(device);
    const micros = (trace: boolean): number => {
      const [before, start] = [loaded.stats().gpu?.gpuMicros ?? 0, performance.now()];
      loaded.runSync(call(1, [f32(1)], [bytes(4)], trace ? { trace: () => {} } : {}));
      const [spent, passed] = [(loaded.stats().gpu?.gpuMicros ?? 0) - before, (performance.now() - start) * 1000];
      expect(spent).toBeGreaterThan(0);
      expect(spent).toBeLessThanOrEqual(passed);
      return spent;
    };
    micros(false);
    micros(true);
  });

  test.skipIf(!software)("of several launches that fail the first one is told; a run without steps tells none", () => {
    using device = openDevice();
    const overruns = (count: number): HandMade => {
      const make = new HandMade();
      const [x, y] = [make.buffer("input", [4]), make.buffer("output", [4])];
      for (let i = 0; i < count; i++)
        make.launch("overrun", { args: [uint(1 << (20 + i))], buffers: [read(x), write(y)], grid: { threads: [4, 1, 1] } });
      return make;
    };
    expect(failure(device, overruns(2), { trace: true })).toMatchObject({ kind: "fault", step: 0 });
    expect(failure(device, overruns(1))).toMatchObject({ kind: "fault", step: -1 });
    takeFaults();
    const lost = { before: () => software?.loseDevices() };
    expect(failure(device, new HandMade().launch("idle", one), lost)).toMatchObject({ kind: "lost", step: -1 });
  });

  test("a number that is no slot's refuses nothing", () => {
    using device = openDevice();
    const make = new HandMade(kernels);
    const options = { refuses: true };
    using loaded = make.launch("report", { ...one, args: [uint(1)], buffers: [status("atomic")] }, options).load(device);
    loaded.runSync(call(0, [], []));
    const slotless = new HandMade(kernels).launch("report", { ...one, args: [uint(0)], buffers: [status("atomic")] });
    using unheard = slotless.load(device);
    unheard.runSync(call(0, [], []));
  });
});
