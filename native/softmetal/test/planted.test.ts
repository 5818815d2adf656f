// Every kernel of planted.metal: the exact reports of the fast and of the checked build.
import { expect, test } from "vitest";
import { type DispatchSpec, execute, type Job, kernelFile, orders, u32 } from "./machine.ts";
import { describeWithToolchain } from "./toolchain.ts";

interface Case extends Omit<Partial<DispatchSpec>, "kernel"> {
  /** What the fast build says; it has no instrumentation. */
  fast?: string[];
  /** What the checked build says; default: the same. */
  checked?: string[];
}

const group = "of threadgroup (0,0,0)";
const cases: Record<string, Case> = {
  barrier_there: {},
  barrier_forgotten: {
    checked: [
      `uninitialised planted.metal:9: read of threadgroup memory that was never written by thread (0,0,0) ${group}`,
      `race planted.metal:8: race in threadgroup memory: write by thread (32,0,0) ${group}, read by thread 31 of threadgroup 0`,
      `race planted.metal:9: race in threadgroup memory: read by thread (32,0,0) ${group}, write by thread 31 of threadgroup 0`,
    ],
  },
  barrier_for_other_memory: {
    checked: [`race planted.metal:23: race in threadgroup memory: read by thread (63,0,0) ${group}, write by thread 0 of threadgroup 0`],
  },
  simdgroup_barrier_there: {},
  lanes_read_then_one_writes: {},
  simdgroup_barrier_forgotten: {
    checked: [
      `uninitialised planted.metal:29: read of threadgroup memory that was never written by thread (0,0,0) ${group}`,
      `race planted.metal:28: race in threadgroup memory: write by thread (1,0,0) ${group}, read by thread 0 of threadgroup 0`,
      `race planted.metal:29: race in threadgroup memory: read by thread (1,0,0) ${group}, write by thread 0 of threadgroup 0`,
    ],
  },
  simdgroup_barrier_too_narrow: {
    checked: [
      `uninitialised planted.metal:43: read of threadgroup memory that was never written by thread (31,0,0) ${group}`,
      `race planted.metal:41: race in threadgroup memory: write by thread (63,0,0) ${group}, read by thread 31 of threadgroup 0`,
      `race planted.metal:43: race in threadgroup memory: read by thread (63,0,0) ${group}, write by thread 31 of threadgroup 0`,
    ],
  },
  never_written: {
    checked: [`uninitialised planted.metal:59: read of threadgroup memory that was never written by thread (63,0,0) ${group}`],
  },
  threadgroup_array_overrun: {
    checked: [`trap planted.metal:65: index beyond an array or a vector by thread (32,0,0) ${group}`],
  },
  threadgroup_argument_overrun: {
    threadgroupBytes: { 0: 128, 1: 256 },
    checked: [`bounds planted.metal:157: write of 4 bytes beyond a threadgroup array by thread (32,0,0) ${group}`],
  },
  misaligned_load: {
    checked: [`bounds planted.metal:164: an address 2 bytes beyond a multiple of 8, which its type needs, by thread (0,0,0) ${group}`],
  },
  private_array_overrun: {
    buffers: { 0: "y", 1: u32(5) },
    checked: [`trap planted.metal:85: index beyond an array or a vector by thread (0,0,0) ${group}`],
  },
  two_threadgroups_write: {
    threadgroups: [2, 1, 1],
    checked: [
      "race planted.metal:72: race in device memory: write by thread (0,0,0) of threadgroup (1,0,0), write by thread 0 of threadgroup 0",
    ],
  },
  atomic_and_plain: {
    checked: [`race planted.metal:123: race in device memory: read by thread (1,0,0) ${group}, write by thread 0 of threadgroup 0`],
  },
  buffer_overrun: {
    fast: [`bounds planted.metal:76: access at byte 256 of a buffer of 256 bytes by thread (63,0,0) ${group}`],
    checked: [`bounds planted.metal:76: write of 4 bytes at offset 256 of buffer(0), which has 256 bytes, by thread (63,0,0) ${group}`],
  },
  buffer_overrun_by_far: {
    buffers: { 0: "y", 1: u32(0, 256) },
    fast: [`bounds planted.metal:80: access outside of every buffer by thread (0,0,0) ${group}`],
    checked: [`bounds planted.metal:80: write of 4 bytes outside of every buffer by thread (0,0,0) ${group}`],
  },
  division_by_zero: { fast: [`trap planted.metal:90: integer division by zero by thread (0,0,0) ${group}`] },
  early_return: { fast: ["barrier planted.metal:95: threadgroup_barrier is reached by 41 of 64 threads, the others have returned"] },
  different_barriers: { fast: ["barrier planted.metal:105: threads of one threadgroup wait at different barriers, here and in line 101"] },
  divergent_sum: {
    fast: [
      "divergence planted.metal:111: divergent simdgroup operation: only lanes 0000001f take part, others wait at the simdgroup operation of line 112",
    ],
  },
  shuffle_beyond_lanes: { fast: [`misuse planted.metal:116: simd_shuffle from a lane that is not active, thread (31,0,0) ${group}`] },
  too_much_memory: { fast: ["limit 32784 bytes of threadgroup memory, allowed are 32768"] },
};

/** Runs dispatches on buffers `y` and `z` of 64 floats and gives the reports as lines. */
async function reportsOf(dispatches: DispatchSpec[], check: boolean, options: Partial<Job> = {}): Promise<string[]> {
  const { faults } = await execute({ source: kernelFile("planted"), check, buffers: { y: 256, z: 256 }, dispatches, ...options });
  return faults.map(({ kind, place, message }) => `${kind} ${place === "" ? "" : `${place}: `}${message}`);
}

const dispatch = (kernel: string, { fast: _fast, checked: _checked, ...given }: Case = {}): DispatchSpec => ({
  ...{ kernel, threadgroups: [1, 1, 1], size: [64, 1, 1], buffers: { 0: "y" } },
  ...given,
});

describeWithToolchain("planted mistakes", () => {
  test.each(Object.entries(cases))("%s", async (kernel, given) => {
    expect(await reportsOf([dispatch(kernel, given)], false)).toEqual(given.fast ?? []);
    expect(await reportsOf([dispatch(kernel, given)], true)).toEqual(given.checked ?? given.fast ?? []);
  });

  test.each(orders)("in %s order the same kernels are reported for the same reasons", async (order) => {
    for (const [kernel, given] of Object.entries(cases)) {
      const kinds = (lines: string[]): Set<string | undefined> =>
        new Set(lines.map((line) => line.split(" ")[0]).filter((kind) => kind !== "uninitialised"));
      const found = kinds(await reportsOf([dispatch(kernel, given)], true, { order }));
      // Whether a read comes before the write that it lacks a barrier to depends on the order: both are reports of the same mistake.
      expect([kernel, found]).toEqual([kernel, kinds(given.checked ?? given.fast ?? [])]);
    }
  });

  test("dispatches without a barrier between them", async () => {
    const [write, read] = [dispatch("store"), dispatch("reverse", { buffers: { 0: "y", 1: "z" } })];
    expect(await reportsOf([write, read], true)).toEqual([]);
    expect(await reportsOf([{ ...write, barrier: false }, read], true)).toEqual([
      `race planted.metal:131: race in device memory: read by thread (0,0,0) ${group}, write by thread 63 of threadgroup 0, in an earlier dispatch without a barrier between them`,
    ]);
  });

  test("the checked build finds the end of memory without guard pages", async () => {
    const buffers = { y: { wrap: 256 }, z: 256 };
    expect(await reportsOf([dispatch("store")], true, { buffers })).toEqual([]);
    expect(await reportsOf([dispatch("buffer_overrun")], true, { buffers })).toEqual([
      `bounds planted.metal:76: write of 4 bytes outside of every buffer by thread (63,0,0) ${group}`,
    ]);
  });

  test("bindings and sizes that Metal's validation refuses", async () => {
    const wanted = { index: 0, type: "bool", value: Uint8Array.of(1) };
    const good: DispatchSpec = {
      kernel: "optional_buffer",
      constants: [wanted],
      threadgroups: [1, 1, 1],
      size: [64, 1, 1],
      buffers: { 0: "y", 1: "z", 2: u32(1, 2, 3, 4) },
      threadgroupBytes: { 0: 256 },
    };
    expect(await reportsOf([good], true)).toEqual([]);
    const { 1: _z, ...without } = good.buffers;
    const unwanted = { ...wanted, value: Uint8Array.of(0) };
    expect(await reportsOf([{ ...good, buffers: without, constants: [unwanted] }], true)).toEqual([]);
    await expect(reportsOf([{ ...good, constants: [] }], true)).rejects.toThrow("function constant 0 (WANTED) is not set");
    expect(await reportsOf([{ ...good, buffers: without }], true)).toEqual(["binding buffer(1): nothing is bound"]);
    expect(await reportsOf([{ ...good, buffers: { ...good.buffers, 2: u32(1, 2) } }], true)).toEqual([
      "binding buffer(2): 8 bytes are bound, the argument's type has 16",
    ]);
    expect(await reportsOf([{ ...good, buffers: { ...good.buffers, 2: { buffer: "z", offset: 6 } } }], true)).toEqual([
      "binding buffer(2): offset 6 is not a multiple of 16, which the argument's type needs",
    ]);
    expect(await reportsOf([{ ...good, buffers: { ...good.buffers, 0: { buffer: "y", offset: 2 } } }], true)).toEqual([
      "binding buffer(0): offset 2 is not a multiple of 4, which the argument's type needs",
    ]);
    expect(await reportsOf([{ ...good, buffers: { ...good.buffers, 0: { buffer: "y", offset: 260 } } }], true)).toEqual([
      "binding buffer(0): offset 260 is beyond the buffer's 256 bytes",
    ]);
    expect(await reportsOf([{ ...good, threadgroupBytes: {} }], true)).toEqual(["binding threadgroup(0): no length was set"]);
    expect(await reportsOf([{ ...good, threadgroupBytes: { 0: 250 } }], true)).toEqual([
      "binding threadgroup(0): length 250 is not a multiple of 16",
    ]);
    expect(await reportsOf([{ ...good, size: [32, 33, 1] }], true)).toEqual(["limit 1056 threads per threadgroup, allowed are 1 to 1024"]);
    expect(await reportsOf([good], true, { maxThreads: 32 })).toEqual(["limit 64 threads per threadgroup, allowed are 1 to 32"]);
    const typed = { ...good, constants: [{ ...wanted, type: "uint", value: u32(1) }] };
    await expect(reportsOf([typed], true)).rejects.toThrow("function constant 0 (WANTED): expected bool of 1 bytes, got uint of 4 bytes");
    await expect(reportsOf([{ ...good, kernel: "nowhere" }], true)).rejects.toThrow('the library has no kernel "nowhere"');
  });
});
