import { createNativeBackend, createReferenceBackend, loadAddon } from "@rlxjs/backend-cpu";
import { define, dim, Tensor } from "@rlxjs/ir";
import { type Backend, BusyError, HandleError, InputShapeError, nextTask, OutputError, registerBackend, Session } from "@rlxjs/runtime";
import { describe, expect, onTestFinished, test } from "vitest";

const { addon } = loadAddon();
const backends: Record<string, () => Backend> = { reference: createReferenceBackend };
if (addon) backends.native = () => createNativeBackend(addon);

/** Device memory that is allocated now. */
let live = 0;
const counting = (backend: Backend): Backend => ({
  ...backend,
  allocate: (bytes) => {
    const memory = backend.allocate(bytes);
    let freed = false;
    live++;
    return {
      bytes: memory.bytes,
      [Symbol.dispose]: () => {
        expect(freed, "freed twice").toBe(false);
        freed = true;
        live--;
        memory[Symbol.dispose]();
      },
    };
  },
});

const f32 = (values: number[], shape = [values.length]) => Tensor.from("f32", shape, values);
const walk = define("walk", (g) => {
  const state = g.input("state", "f32", [1, 2, 1]);
  return { next: g.add(state, g.state("bias", "f32", [1])), all: g.concat([state, state], { axis: 1 }) };
});

describe.each(Object.keys(backends))("%s kernels", (kernels) => {
  const open = () => {
    registerBackend("tpu", async () => counting(backends[kernels]?.() ?? expect.fail(kernels)));
    return Session.open({ device: "tpu" });
  };

  test("a graph that is disposed at any moment of its runs frees all of its memory, once", async () => {
    const unhandled: unknown[] = [];
    const listen = (reason: unknown): number => unhandled.push(reason);
    process.on("unhandledRejection", listen);
    onTestFinished(() => void process.off("unhandledRejection", listen));
    using session = await open();
    for (let moment = 0; moment < 24; moment++) {
      const compiled = session.compileSync(walk);
      compiled.bindGpuHandle("state", f32([1, 2], [1, 2, 1]));
      compiled.setGpuHandleFeed("state", moment % 2 === 0 ? "next" : { output: "all", srcRow: 2, dstRow: 1 });
      for (let i = 0; i < 3; i++) compiled.commitNoWait({ keep: ["all"] });
      for (let i = 0; i < moment; i++) await (moment % 3 === 0 ? nextTask() : undefined);
      compiled[Symbol.dispose]();
      await compiled.syncPending().catch(() => undefined);
      await nextTask();
      expect(live, `disposed at moment ${moment}`).toBe(0);
    }
    expect(unhandled).toEqual([]);
  });

  test("a run that is aborted while it runs leaves its handles, whatever they are fed", async () => {
    using session = await open();
    const slow = define("slow", (g) => {
      let x = g.input("x", "f32", [1, 96, 96]);
      for (let i = 0; i < 400; i++) x = g.softmax(g.matmul(x, x));
      return { y: x };
    });
    using compiled = session.compileSync(slow);
    const x = Tensor.from(
      "f32",
      [1, 96, 96],
      Array.from({ length: 96 * 96 }, (_, i) => Math.sin(i)),
    );
    compiled.bindGpuHandle("x", x);
    await compiled.prepare();
    for (const feed of ["y", { output: "y", srcRow: 3, dstRow: 0, rows: 90 }] as const) {
      compiled.setGpuHandleFeed("x", feed);
      const stop = new AbortController();
      const run = compiled.run({ signal: stop.signal });
      await nextTask();
      stop.abort("enough");
      await expect(run).rejects.toBe("enough");
      expect(compiled.readGpuHandle("x")).toEqual(x);
    }
    expect(compiled.stats()).toMatchObject({ runs: 0, deviceCopyBytes: 0 });
  });

  test("memory that outputs were computed into goes when they no longer stay on the device", async () => {
    using session = await open();
    using compiled = session.compileSync(walk);
    using state = session.createState(compiled);
    const inputs = { state: f32([1, 2], [1, 2, 1]) };
    const before = [live, compiled.residentBytes];
    compiled.runSync({ inputs, state, keep: ["next", "all"] });
    expect(live).toBe(3);
    compiled.runSync({ inputs, state, keep: ["all"] });
    expect(live).toBe(2);
    compiled.bindGpuHandle("state", inputs.state);
    compiled.setGpuHandleFeed("state", "next");
    compiled.runSync({ state });
    expect(live, "states, handle, what is computed next").toBe(3);
    compiled.unbindGpuHandle("state");
    expect([live, compiled.residentBytes]).toEqual(before);
  });

  test("a run that is refused leaves outputs that stayed, whatever refuses it", async () => {
    using session = await open();
    using compiled = session.compileSync(walk);
    using state = session.createState(compiled);
    using other = session.compileSync(walk);
    const inputs = { state: f32([1, 2], [1, 2, 1]) };
    compiled.runSync({ inputs, state, keep: ["all"] });
    let refused = 0;
    const trace = () => {
      expect(() => compiled.runSync({ inputs, state })).toThrow(BusyError);
      refused++;
    };
    other.runSync({ inputs, state, trace });
    expect(refused, "while the state was in use").toBe(1);
    expect(() => compiled.runSync({ inputs: {}, state })).toThrow('input "state"');
    expect(() => compiled.runSync({ inputs, state, into: { next: new Float32Array(1) } })).toThrow(OutputError);
    expect(compiled.readOutputRow("all", 3).toArray()).toEqual([2]);
  });

  test("rows of another graph replace a handle of a symbolic extent, sequences too, if there is room for them", async () => {
    using session = await open();
    const graph = (most: number) => {
      const [batch, rows] = [dim("batch", { min: 1, max: most }), dim("rows", { min: 0, max: 4 })];
      return define(`most ${most}`, (g) => ({ y: g.neg(g.input("past", "f32", [batch, rows, 1])) }));
    };
    using large = session.compileSync(graph(4));
    using small = session.compileSync(graph(2));
    large.bindGpuHandle("past", Tensor.zeros("f32", [3, 2, 1]));
    expect(() => small.copyGpuHandleFrom(large, "past")).toThrow(InputShapeError);
    expect([small.hasGpuHandle("past"), live]).toEqual([false, 1]);
    small.bindGpuHandle("past", f32([7], [1, 1, 1]));
    expect(() => small.copyGpuHandleFrom(large, "past")).toThrow(InputShapeError);
    large.bindGpuHandle("past", f32([1, 2, 3, 4], [2, 2, 1]));
    expect(() => small.copyGpuHandleFrom(large, "past", { rows: 3 })).toThrow(HandleError);
    expect(small.readGpuHandle("past"), "refused copies change nothing").toEqual(f32([7], [1, 1, 1]));
    small.copyGpuHandleFrom(large, "past");
    expect(small.runSync().y).toEqual(f32([-1, -2, -3, -4], [2, 2, 1]));
  });
});
