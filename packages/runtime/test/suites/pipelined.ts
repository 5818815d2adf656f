import { define, dim, Tensor } from "@rlxjs/ir";
import { BusyError, KernelError, nextTask, UseAfterDisposeError } from "@rlxjs/runtime";
import { afterAll, expect, onTestFinished, test } from "vitest";
import type { OpenSession } from "./open-session.ts";

const f32 = (...values: number[]) => Tensor.from("f32", [values.length], values);

/** Adds the element `at` of a table to the state: fails where there is none. */
const walk = define("walk", (g) => {
  const state = g.input("state", "f32", [1]);
  const table = g.input("table", "f32", [3]);
  return { next: g.add(g.mul(state, 2), g.gather(table, g.input("at", "i32", [1]), { axis: 0 })) };
});
const at = (index: number) => Int32Array.of(index);

export async function pipelinedSuite(open: OpenSession): Promise<void> {
  const session = await open();
  afterAll(() => session[Symbol.dispose]());

  function walker() {
    const compiled = session.compileSync(walk);
    compiled.bindGpuHandle("state", f32(0));
    compiled.bindHandle("table", f32(1, 10, 100));
    compiled.setGpuHandleFeed("state", "next");
    return compiled;
  }

  test("runs that are committed run in their order, on copies of their inputs", async () => {
    using compiled = walker();
    const index = at(0);
    for (let i = 0; i < 3; i++) {
      index[0] = i;
      compiled.commitNoWait({ inputs: { at: index }, read: ["next"] });
    }
    index[0] = 9;
    expect((await compiled.syncPending())?.next.toArray()).toEqual([4 + 20 + 100]);
    expect(compiled.readGpuHandle("state").toArray()).toEqual([124]);
    expect(await compiled.syncPending(), "nothing is pending").toBeUndefined();
  });

  test("a list of runs gives the outputs of each", async () => {
    using compiled = walker();
    const runs = [0, 1, 2].map((i) => ({ inputs: { at: at(i) }, read: ["next"] as const }));
    const [first, second] = await Promise.all([compiled.runPipelined(runs), compiled.runPipelined(runs.slice(0, 1))]);
    expect(first.map(({ next }) => next.toArray())).toEqual([[1], [12], [124]]);
    expect(
      second.map(({ next }) => next.toArray()),
      "behind the first list",
    ).toEqual([[249]]);
    expect(await compiled.runPipelined([])).toEqual([]);
  });

  test("other uses are refused while runs are pending, and queued runs while another one is under way", async () => {
    using compiled = walker();
    compiled.commitNoWait({ inputs: { at: at(0) } });
    const refused = compiled.run({ inputs: { at: at(1) } });
    expect(() => compiled.readGpuHandle("state")).toThrow(BusyError);
    await expect(refused).rejects.toThrow(BusyError);
    await compiled.syncPending();
    const run = compiled.run({ inputs: { at: at(1) } });
    expect(() => compiled.commitNoWait({ inputs: { at: at(2) } })).toThrow(BusyError);
    await expect(compiled.runPipelined([{ inputs: { at: at(2) } }])).rejects.toThrow(BusyError);
    await run;
    expect(compiled.readGpuHandle("state").toArray()).toEqual([12]);
  });

  test("a failure is delivered once; runs behind it do not run, later ones do", async () => {
    using compiled = walker();
    for (const i of [0, 7, 1]) compiled.commitNoWait({ inputs: { at: at(i) } });
    await expect(compiled.syncPending()).rejects.toThrow(KernelError);
    expect(compiled.readGpuHandle("state").toArray()).toEqual([1]);
    expect(await compiled.syncPending()).toBeUndefined();
    compiled.commitNoWait({ inputs: { at: at(1) } });
    await compiled.syncPending();
    expect(compiled.readGpuHandle("state").toArray()).toEqual([12]);
    await expect(compiled.runPipelined([3, 0].map((i) => ({ inputs: { at: at(i) } })))).rejects.toThrow(KernelError);
    await compiled.runPipelined([{ inputs: { at: at(2) } }]);
    expect(compiled.readGpuHandle("state").toArray()).toEqual([124]);
  });

  test("a failure that nobody waits for is no unhandled rejection, and stops what comes behind it", async () => {
    const unhandled: unknown[] = [];
    const listen = (reason: unknown): number => unhandled.push(reason);
    process.on("unhandledRejection", listen);
    onTestFinished(() => void process.off("unhandledRejection", listen));
    using compiled = walker();
    compiled.commitNoWait({ inputs: { at: at(7) } });
    for (let i = 0; i < 100 && isBusy(compiled); i++) await nextTask();
    await nextTask();
    expect(unhandled).toEqual([]);
    compiled.commitNoWait({ inputs: { at: at(1) } });
    await expect(compiled.syncPending()).rejects.toThrow(KernelError);
    expect(compiled.readGpuHandle("state").toArray()).toEqual([0]);
  });

  test("runs have the extent that was active when they were asked for", async () => {
    const n = dim("n", { min: 1, max: 4 });
    using compiled = session.compileSync(define("numbers", (g) => ({ y: g.iota({ shape: [n] }) })));
    const ask = [2, 3].map((actual) => {
      compiled.setActiveExtent({ actual, upper: 4 });
      return compiled.runPipelined([{}, { extents: { n: 1 } }]);
    });
    compiled.setActiveExtent(undefined);
    const sizes = (await Promise.all(ask)).map((list) => list.map(({ y }) => y.size));
    expect(sizes).toEqual([
      [2, 1],
      [3, 1],
    ]);
    compiled.setActiveExtent({ actual: 4, upper: 4 });
    const run = compiled.run();
    compiled.setActiveExtent(undefined);
    expect((await run).y.size).toBe(4);
  });

  test("many short runs leave the event loop as free as a long one", async () => {
    using compiled = walker();
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    const started = performance.now();
    await compiled.runPipelined(Array.from({ length: 5000 }, () => ({ inputs: { at: at(0) } })));
    clearInterval(timer);
    expect(turns).toBeGreaterThan((performance.now() - started) / 50);
  });

  test("an aborted run ends with the reason, before or while it runs", async () => {
    using compiled = walker();
    const stop = new AbortController();
    compiled.commitNoWait({ inputs: { at: at(0) } });
    compiled.commitNoWait({ inputs: { at: at(1) }, signal: stop.signal });
    stop.abort("enough");
    await expect(compiled.syncPending()).rejects.toBe("enough");
    expect(compiled.readGpuHandle("state").toArray()).toEqual([1]);
  });

  test("disposing fails the runs that are pending, and refuses further ones", async () => {
    const compiled = walker();
    for (const i of [0, 1, 2]) compiled.commitNoWait({ inputs: { at: at(i) } });
    compiled[Symbol.dispose]();
    await expect(compiled.syncPending()).rejects.toThrow(UseAfterDisposeError);
    expect(() => compiled.commitNoWait()).toThrow(UseAfterDisposeError);
    await expect(compiled.runPipelined([{}])).rejects.toThrow(UseAfterDisposeError);
  });
}

function isBusy(compiled: { readHandle(name: string): Tensor }): boolean {
  try {
    compiled.readHandle("table");
    return false;
  } catch (error) {
    if (error instanceof BusyError) return true;
    throw error;
  }
}
