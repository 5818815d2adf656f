import { define, dim, Tensor } from "@rlxjs/ir";
import { BusyError, FeedError, HandleError, InputDTypeError, InputShapeError, OutputError, UnknownInputError } from "@rlxjs/runtime";
import { afterAll, describe, expect, test } from "vitest";
import type { OpenSession } from "./open-session.ts";

const f32 = (values: number[], shape = [values.length]) => Tensor.from("f32", shape, values);

const counter = define("counter", (g) => {
  const state = g.input("state", "f32", [1]);
  return { next: g.add(state, g.input("delta", "f32", [1])) };
});

/** A cache in concat form: rows [0, upper) are past, the new row is at `upper`. */
const concat = (batch: number, upper: number, width = 2) =>
  define(`concat ${batch}x${upper}`, (g) => {
    const past = g.input("past", "f32", [batch, upper, width]);
    const all = g.concat([past, g.input("x", "f32", [batch, 1, width])], { axis: 1 });
    return { sum: g.reduceSum(all, { axes: [1] }), all };
  });

/** The same with as many rows of the past as there are. */
const growing = (batch: number) => {
  const past = dim("past", { min: 0, max: 4 });
  return define(`growing ${batch}`, (g) => {
    const all = g.concat([g.input("past", "f32", [batch, past, 2]), g.input("x", "f32", [batch, 1, 2])], { axis: 1 });
    return { sum: g.reduceSum(all, { axes: [1] }), all };
  });
};

export async function handlesSuite(open: OpenSession): Promise<void> {
  const session = await open();
  afterAll(() => session[Symbol.dispose]());

  describe("handles in JavaScript", () => {
    test("a state that is bound once and fed back counts to five", async () => {
      using compiled = session.compileSync(counter);
      compiled.bindHandle("state", f32([0]), { feed: "next" });
      for (let i = 1; i <= 5; i++) expect((await compiled.run({ inputs: { delta: f32([1]) } })).next.toArray()).toEqual([i]);
      expect(compiled.readHandle("state").toArray()).toEqual([5]);
    });

    test("an input that is given goes before its handle, for that run", () => {
      using compiled = session.compileSync(counter);
      compiled.bindHandle("state", f32([10]));
      compiled.bindHandle("delta", f32([1]));
      expect(compiled.runSync().next.toArray()).toEqual([11]);
      expect(compiled.runSync({ inputs: { state: f32([100]) } }).next.toArray()).toEqual([101]);
      expect(compiled.runSync().next.toArray(), "nothing feeds back by itself").toEqual([11]);
      compiled.unbindHandle("state");
      expect(() => compiled.runSync()).toThrow('input "state": expected f32[1], got nothing');
    });

    test("handles called out0, out1 follow the outputs, whether or not an input is called that", () => {
      const graph = define("numbered", (g) => {
        const next = g.add(g.input("out0", "f32", [1]), 1);
        return { next, double: g.mul(next, 2) };
      });
      using compiled = session.compileSync(graph);
      compiled.bindHandle("out0", f32([0]));
      compiled.bindHandle("out1", f32([0]));
      for (let i = 0; i < 5; i++) compiled.runSync({ read: [] });
      expect([compiled.readHandle("out0").toArray(), compiled.readHandle("out1").toArray()]).toEqual([[5], [10]]);
    });

    test("an input called out0 that is not of the type of an output is a handle like others; out00 is no number", () => {
      const sum = define("sum", (g) => ({ y: g.reduceSum(g.input("out0", "f32", [2]), { axes: [0] }) }));
      using compiled = session.compileSync(sum);
      compiled.bindHandle("out0", f32([1, 2]));
      for (let i = 0; i < 2; i++) expect(compiled.runSync().y.toArray()).toEqual([3]);
      expect(() => compiled.bindHandle("out00", f32([1], []))).toThrow(UnknownInputError);
    });

    test("a handle on the device goes before one in JavaScript", () => {
      using compiled = session.compileSync(counter);
      compiled.bindGpuHandle("state", f32([1]));
      compiled.bindHandle("state", f32([2]));
      compiled.bindHandle("delta", f32([0]));
      expect(compiled.runSync().next.toArray()).toEqual([1]);
      compiled.unbindGpuHandle("state");
      expect(compiled.runSync().next.toArray()).toEqual([2]);
    });

    test("any name is one of an input, an output and an extent", async () => {
      const size = dim("__proto__", { min: 1, max: 4 });
      const graph = define("names", (g) => ({
        ["__proto__"]: g.add(g.input("__proto__", "f32", [size]), g.input("constructor", "f32", [1])),
      }));
      using compiled = session.compileSync(graph);
      compiled.bindHandle("constructor", f32([1]));
      compiled.bindGpuHandle("__proto__", f32([1, 2]));
      compiled.setGpuHandleFeed("__proto__", "__proto__");
      for (let i = 0; i < 3; i++) await compiled.run();
      expect(compiled.readGpuHandle("__proto__").toArray()).toEqual([4, 5]);
      compiled.commitNoWait({ inputs: { ["__proto__"]: f32([5, 6, 7]) }, read: ["__proto__"] });
      expect(Object.entries((await compiled.syncPending()) ?? {})).toEqual([["__proto__", f32([6, 7, 8])]]);
    });

    test("are copies", () => {
      using compiled = session.compileSync(counter);
      const zero = f32([0]);
      compiled.bindHandle("state", zero, { feed: "next" });
      zero.data[0] = 7;
      const { next } = compiled.runSync({ inputs: { delta: f32([1]) } });
      next.data[0] = 9;
      compiled.readHandle("state").data[0] = 9;
      expect(compiled.readHandle("state").toArray()).toEqual([1]);
    });

    test("names and types that do not fit are refused", () => {
      using compiled = session.compileSync(counter);
      expect(() => compiled.bindHandle("states", f32([0]))).toThrow(UnknownInputError);
      expect(() => compiled.bindHandle("out1", f32([0]))).toThrow(UnknownInputError);
      expect(() => compiled.bindHandle("state", Tensor.zeros("f16", [1]))).toThrow(InputDTypeError);
      expect(() => compiled.bindHandle("state", f32([1, 2]))).toThrow(InputShapeError);
      expect(() => compiled.readHandle("state")).toThrowErrorMatchingInlineSnapshot(
        `[HandleError: graph "counter": handle "state": is not bound; bound: none]`,
      );
      using wide = session.compileSync(concat(1, 2));
      expect(() => wide.bindHandle("past", Tensor.zeros("f32", [1, 2, 2]), { feed: "all" })).toThrow(FeedError);
    });
  });

  describe("handles on the device", () => {
    test("a whole output that is fed changes places with the handle: nothing is copied or delivered", async () => {
      using compiled = session.compileSync(counter);
      compiled.bindGpuHandle("state", f32([0]));
      compiled.setGpuHandleFeed("state", "next");
      const before = compiled.stats();
      for (let i = 1; i <= 5; i++) expect(await compiled.run({ inputs: { delta: f32([1]) } })).toEqual({});
      expect(compiled.stats()).toMatchObject({ deviceCopyBytes: 0, toHostBytes: 0, toDeviceBytes: before.toDeviceBytes + 5 * 4 });
      expect(compiled.readGpuHandle("state").toArray()).toEqual([5]);
      const { next } = compiled.runSync({ inputs: { delta: f32([1]) }, read: ["next"] });
      expect(next.toArray(), "an output that is read is delivered as well").toEqual([6]);
      expect(compiled.runSync({ inputs: { delta: f32([1]), state: f32([100]) }, read: ["next"] }).next.toArray()).toEqual([101]);
      compiled.setGpuHandleFeed("state", undefined);
      expect(compiled.runSync({ inputs: { delta: f32([1]) } }).next.toArray()).toEqual([102]);
      expect(compiled.readGpuHandle("state").toArray()).toEqual([101]);
      expect(compiled.hasGpuHandle("state")).toBe(true);
      compiled.unbindGpuHandle("state");
      expect(compiled.hasGpuHandle("state")).toBe(false);
      expect(() => compiled.runSync({ inputs: { delta: f32([1]) } })).toThrow('input "state"');
    });

    test("a whole output with a row too many is refused; the row feed keeps that row", async () => {
      using compiled = session.compileSync(concat(1, 4));
      compiled.bindGpuHandle("past", Tensor.zeros("f32", [1, 4, 2]));
      expect(() => compiled.setGpuHandleFeed("past", "all")).toThrow(FeedError);
      expect(() => compiled.setGpuHandleFeed("past", "all")).toThrowErrorMatchingInlineSnapshot(
        `[FeedError: graph "concat 1x4": feed of handle "past" from output "all": expected f32[1, 4, 2], got f32[1, 5, 2]: row 4 of axis 1 would be lost, feed rows instead]`,
      );
      for (let past = 0; past < 4; past++) {
        const x = f32([past + 1, -past], [1, 1, 2]);
        const { sum } = await compiled.runFeedGpuHandle({ x }, { past: { output: "all", srcRow: 4, dstRow: past } });
        expect(sum.get(0)).toBe(((past + 1) * (past + 2)) / 2);
      }
      expect(compiled.readGpuHandle("past").toArray()).toEqual([1, -0, 2, -1, 3, -2, 4, -3]);
      expect(compiled.stats().deviceCopyBytes).toBe(4 * 8);
    });

    test("every sequence of a batch gets its rows, several at once, along any axis", () => {
      using compiled = session.compileSync(concat(2, 3));
      compiled.bindGpuHandle("past", Tensor.zeros("f32", [2, 3, 2]));
      const x = f32([1, 2, 3, 4], [2, 1, 2]);
      compiled.setGpuHandleFeed("past", [
        { output: "all", srcRow: 3, dstRow: 0 },
        { output: "all", srcRow: 2, dstRow: 1, rows: 2 },
      ]);
      compiled.runSync({ inputs: { x } });
      expect(compiled.readGpuHandle("past").toArray()).toEqual([1, 2, 0, 0, 1, 2, 3, 4, 0, 0, 3, 4]);
      const heads = define("heads", (g) => ({ y: g.add(g.input("h", "f32", [1, 2, 3, 1]), 1) }));
      using other = session.compileSync(heads);
      other.bindGpuHandle("h", f32([0, 1, 2, 10, 11, 12], [1, 2, 3, 1]));
      other.setGpuHandleFeed("h", { output: "y", srcRow: 0, dstRow: 2, axis: 2 });
      other.runSync();
      expect(other.readGpuHandle("h").toArray()).toEqual([0, 1, 1, 10, 11, 11]);
    });

    test("rows behind the last one make a handle of a symbolic extent longer, up to its bound", () => {
      for (const batch of [1, 3]) {
        using compiled = session.compileSync(growing(batch));
        compiled.bindGpuHandle("past", Tensor.zeros("f32", [batch, 0, 2]));
        const row = (past: number) => Array.from({ length: batch * 2 }, (_, i) => 10 * past + i);
        for (let past = 0; past < 4; past++) {
          compiled.setGpuHandleFeed("past", { output: "all", srcRow: past, dstRow: past });
          const { sum } = compiled.runSync({ inputs: { x: f32(row(past), [batch, 1, 2]) } });
          const total = row(0).map((_, i) => Array.from({ length: past + 1 }, (_, p) => row(p)[i] ?? 0).reduce((a, b) => a + b));
          expect(sum.toArray()).toEqual(total);
        }
        const rows = (count: number) =>
          Array.from({ length: batch }, (_, b) => Array.from({ length: count }, (_, p) => row(p).slice(2 * b, 2 * b + 2))).flat(2);
        expect(compiled.readGpuHandle("past")).toMatchObject({ shape: [batch, 4, 2] });
        expect(compiled.readGpuHandle("past").toArray()).toEqual(rows(4));
        compiled.setGpuHandleFeed("past", { output: "all", srcRow: 4, dstRow: 4 });
        expect(() => compiled.runSync({ inputs: { x: f32(row(4), [batch, 1, 2]) } })).toThrow(FeedError);
        compiled.setGpuHandleFeed("past", undefined);
        compiled.truncateGpuHandle("past", { rows: 2 });
        expect(compiled.readGpuHandle("past").toArray()).toEqual(rows(2));
        expect(compiled.runSync({ inputs: { x: f32(row(2), [batch, 1, 2]) } }).all.shape).toEqual([batch, 3, 2]);
        // One sequence grows where it is: its rows were copied once.
        if (batch === 1) expect(compiled.stats().deviceCopyBytes).toBe(4 * 8);
      }
    });

    test("rows that are dropped from a fixed extent are zeros", () => {
      using compiled = session.compileSync(concat(2, 3));
      compiled.bindGpuHandle("past", f32([1, 2, 3, 4, 5, Number.NaN, 7, 8, 9, 10, 11, 12], [2, 3, 2]));
      compiled.truncateGpuHandle("past", { rows: 2 });
      expect(compiled.readGpuHandle("past").toArray()).toEqual([1, 2, 3, 4, 0, 0, 7, 8, 9, 10, 0, 0]);
      compiled.truncateGpuHandle("past", { rows: 1, axis: 0 });
      expect(compiled.readGpuHandle("past").toArray()).toEqual([1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0]);
    });

    test("rows move to the handle of a larger graph within the device", () => {
      using small = session.compileSync(concat(2, 2));
      using large = session.compileSync(concat(2, 4));
      using symbolic = session.compileSync(growing(2));
      small.bindGpuHandle("past", f32([1, 2, 3, 4, 5, 6, 7, 8], [2, 2, 2]));
      large.copyGpuHandleFrom(small, "past", { rows: 1 });
      expect(large.readGpuHandle("past").toArray()).toEqual([1, 2, 0, 0, 0, 0, 0, 0, 5, 6, 0, 0, 0, 0, 0, 0]);
      large.copyGpuHandleFrom(small, "past");
      expect(large.readGpuHandle("past").toArray()).toEqual([1, 2, 3, 4, 0, 0, 0, 0, 5, 6, 7, 8, 0, 0, 0, 0]);
      symbolic.copyGpuHandleFrom(large, "past", { rows: 2 });
      expect(symbolic.readGpuHandle("past")).toEqual(small.readGpuHandle("past"));
      expect(large.stats()).toMatchObject({ toDeviceBytes: 0, deviceCopyBytes: 16 + 32 });
      expect(() => small.copyGpuHandleFrom(large, "past", { rows: 3 })).toThrow(HandleError);
      expect(() => small.copyGpuHandleFrom(large, "x")).toThrow(HandleError);
      using other = session.compileSync(concat(1, 4));
      expect(() => other.copyGpuHandleFrom(large, "past")).toThrow(InputShapeError);
    });

    test("outputs that are kept stay until the next run, and rows of them can be read", () => {
      using compiled = session.compileSync(concat(2, 2));
      const inputs = { past: f32([1, 2, 3, 4, 5, 6, 7, 8], [2, 2, 2]), x: f32([9, 10, 11, 12], [2, 1, 2]) };
      const { sum } = compiled.runSync({ inputs, keep: ["all"] });
      expect(sum.shape).toEqual([2, 2]);
      expect(compiled.readOutputRow("all", 2)).toEqual(f32([9, 10, 11, 12], [2, 1, 2]));
      expect(compiled.readOutputRow("all", 1, { rows: 2 }).toArray()).toEqual([3, 4, 9, 10, 7, 8, 11, 12]);
      expect(compiled.readOutputRow("all", 1, { axis: 0 }).toArray()).toEqual([5, 6, 7, 8, 11, 12]);
      expect(compiled.stats().toHostBytes).toBe(16 + 16 + 32 + 24);
      expect(() => compiled.readOutputRow("all", 3)).toThrow(OutputError);
      expect(() => compiled.readOutputRow("all", 0, { axis: 3 })).toThrow(OutputError);
      expect(() => compiled.readOutputRow("sum", 0)).toThrow(OutputError);
      compiled.runSync({ inputs });
      expect(() => compiled.readOutputRow("all", 0)).toThrowErrorMatchingInlineSnapshot(
        `[OutputError: graph "concat 2x2": output "all": did not stay on the device in the last run: name it in \`keep\`]`,
      );
      expect(() => compiled.runSync({ inputs, keep: ["none" as "all"] })).toThrow(OutputError);
    });

    test("an output that feeds two handles, and one that is kept as well, has one value for all", () => {
      const graph = define("shared", (g) => {
        const a = g.input("a", "f32", [1, 2, 1]);
        const next = g.add(a, 1);
        return { next, sum: g.add(next, g.add(g.input("b", "f32", [1, 2, 1]), g.input("c", "f32", [1, 2, 1]))) };
      });
      using compiled = session.compileSync(graph);
      for (const name of ["a", "b", "c"]) compiled.bindGpuHandle(name, Tensor.zeros("f32", [1, 2, 1]));
      compiled.setGpuHandleFeed("a", "next");
      compiled.setGpuHandleFeed("b", "next");
      compiled.setGpuHandleFeed("c", { output: "next", srcRow: 0, dstRow: 1 });
      for (let i = 1; i <= 3; i++) {
        compiled.runSync();
        expect(compiled.readGpuHandle("a").toArray()).toEqual([i, i]);
        expect(compiled.readGpuHandle("b").toArray()).toEqual([i, i]);
        expect(compiled.readGpuHandle("c").toArray()).toEqual([0, i]);
        expect(compiled.readOutputRow("next", 1).toArray()).toEqual([i]);
      }
    });

    test("a failed, refused or aborted run leaves handles as they were", async () => {
      const graph = define("positions", (g) => {
        const cache = g.input("cache", "f32", [4]);
        return { next: g.add(cache, g.reduceSum(g.gather(cache, g.input("at", "i32", [1]), { axis: 0 }), { axes: [0] })) };
      });
      using compiled = session.compileSync(graph);
      compiled.bindGpuHandle("cache", f32([1, 2, 3, 4]));
      compiled.bindHandle("at", Tensor.from("i32", [1], [0]));
      compiled.setGpuHandleFeed("cache", "next");
      await expect(compiled.run({ inputs: { at: Tensor.from("i32", [1], [9]) } })).rejects.toThrow("gather");
      await expect(compiled.run({ inputs: { at: f32([0]) } })).rejects.toThrow(InputDTypeError);
      await expect(compiled.run({ signal: AbortSignal.abort("no") })).rejects.toBe("no");
      expect(compiled.readGpuHandle("cache").toArray()).toEqual([1, 2, 3, 4]);
      await compiled.run();
      expect(compiled.readGpuHandle("cache").toArray()).toEqual([2, 3, 4, 5]);
    });

    test("names, types and rows that do not fit are refused", () => {
      using compiled = session.compileSync(concat(1, 4));
      expect(() => compiled.bindGpuHandle("sum", f32([1]))).toThrow(UnknownInputError);
      expect(() => compiled.bindGpuHandle("past", Tensor.zeros("f16", [1, 4, 2]))).toThrow(InputDTypeError);
      expect(() => compiled.bindGpuHandle("past", Tensor.zeros("f32", [1, 5, 2]))).toThrow(InputShapeError);
      expect(() => compiled.readGpuHandle("past")).toThrow(HandleError);
      expect(() => compiled.unbindGpuHandle("past")).toThrow(HandleError);
      expect(() => compiled.setGpuHandleFeed("past", undefined)).toThrow(HandleError);
      compiled.bindGpuHandle("past", Tensor.zeros("f32", [1, 4, 2]));
      expect(() => compiled.truncateGpuHandle("past", { rows: 5 })).toThrow(HandleError);
      expect(() => compiled.truncateGpuHandle("past", { rows: 1, axis: 3 })).toThrow(HandleError);
      const row = { output: "all", srcRow: 4, dstRow: 0 } as const;
      for (const feed of [
        "none" as "all",
        "sum",
        { ...row, srcRow: -1 },
        { ...row, dstRow: 0.5 },
        { ...row, rows: 0 },
        { ...row, axis: 3 },
        ["all", row],
      ] as const)
        expect(() => compiled.setGpuHandleFeed("past", feed), JSON.stringify(feed)).toThrow(FeedError);
      const x = f32([1, 2], [1, 1, 2]);
      for (const feed of [
        { ...row, srcRow: 5 },
        { ...row, srcRow: 3, rows: 3 },
        { ...row, dstRow: 4 },
        { ...row, axis: 0, srcRow: 0 },
        { ...row, output: "sum" as const },
      ])
        expect(() => compiled.runSync({ inputs: { x }, feeds: { past: feed } }), JSON.stringify(feed)).toThrow(FeedError);
      expect(() => compiled.runSync({ inputs: { x }, feeds: { past: { ...row, dstRow: 4 } } })).toThrowErrorMatchingInlineSnapshot(
        `[FeedError: graph "concat 1x4": feed of handle "past" from output "all": expected rows within the 4 of the handle, got 4 to 4]`,
      );
      expect(() => compiled.runSync({ inputs: { x }, feeds: { x: "all" } })).toThrow(HandleError);
      using symbolic = session.compileSync(growing(1));
      expect(() => symbolic.bindGpuHandle("past", Tensor.zeros("f32", [1, 5, 2]))).toThrow(InputShapeError);
      symbolic.bindGpuHandle("past", Tensor.zeros("f32", [1, 1, 2]));
      expect(() => symbolic.runSync({ inputs: { x }, feeds: { past: { ...row, srcRow: 1, dstRow: 2 } } }), "a gap").toThrow(FeedError);
    });

    test("handles are not touched during a run, count as resident, and go with the graph", async () => {
      const compiled = session.compileSync(concat(1, 4));
      const before = compiled.residentBytes;
      compiled.bindGpuHandle("past", Tensor.zeros("f32", [1, 4, 2]));
      expect(compiled.residentBytes).toBe(before + 32);
      const run = compiled.run({ inputs: { x: f32([1, 2], [1, 1, 2]) } });
      expect(() => compiled.readGpuHandle("past")).toThrow(BusyError);
      expect(() => compiled.bindHandle("x", f32([1, 2], [1, 1, 2]))).toThrow(BusyError);
      await run;
      using other = session.compileSync(concat(1, 4));
      compiled[Symbol.dispose]();
      expect(() => compiled.readGpuHandle("past")).toThrow("disposed");
      expect(() => other.copyGpuHandleFrom(compiled, "past")).toThrow("disposed");
    });
  });
}
