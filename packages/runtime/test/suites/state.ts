import { define, dim, Tensor } from "@rlxjs/ir";
import { KernelError, StateError } from "@rlxjs/runtime";
import { afterAll, expect, test } from "vitest";
import type { OpenSession } from "./open-session.ts";

export async function stateSuite(open: OpenSession): Promise<void> {
  const session = await open();
  afterAll(() => session[Symbol.dispose]());

  test("a state outlives the run, and can be read, written and reset", () => {
    const graph = define("counter", (g) => {
      const n = g.state("n", "f32", [2]);
      return { n: g.stateWrite(n, g.add(n, g.input("delta", "f32", [2]))) };
    });
    using compiled = session.compileSync(graph);
    using state = session.createState(compiled);
    const delta = new Float32Array([1, 2]);
    for (let i = 0; i < 5; i++) compiled.runSync({ inputs: { delta }, state });
    expect(state.read("n").toArray()).toEqual([5, 10]);
    expect(compiled.runSync({ inputs: { delta } }).n.toArray(), "without a set, the graph has its own").toEqual([1, 2]);
    state.write("n", Tensor.from("f32", [2], [7, 7]));
    expect(compiled.runSync({ inputs: { delta }, state }).n.toArray()).toEqual([8, 9]);
    using copy = session.createState(compiled);
    copy.copyFrom(state);
    state.reset();
    expect([state.read("n").toArray(), copy.read("n").toArray()]).toEqual([
      [0, 0],
      [8, 9],
    ]);
  });

  test("graphs that declare a state alike share it; others are refused", () => {
    const writer = define("writer", (g) => ({ s: g.stateWrite(g.state("s", "f32", [2]), g.input("x", "f32", [2])) }));
    const reader = define("reader", (g) => ({ y: g.mul(g.state("s", "f32", [2]), 10) }));
    const other = define("other", (g) => ({ y: g.mul(g.state("s", "f16", [2]), 10) }));
    using write = session.compileSync(writer);
    using read = session.compileSync(reader);
    using wrong = session.compileSync(other);
    using state = session.createState(write, read);
    write.runSync({ inputs: { x: new Float32Array([1, 2]) }, state });
    expect(read.runSync({ state }).y.toArray()).toEqual([10, 20]);
    expect(() => wrong.runSync({ state })).toThrow(StateError);
    expect(() => wrong.runSync({ state })).toThrowErrorMatchingInlineSnapshot(
      `[StateError: graph "other": state "s": expected f16[2], got f32[2]]`,
    );
    expect(() => session.createState(write, wrong)).toThrowErrorMatchingInlineSnapshot(
      `[StateError: graph "other": state "s": expected f32[2] as in the other graphs, got f16[2]]`,
    );
    expect(() => state.read("t")).toThrowErrorMatchingInlineSnapshot(`[StateError: state "t": expected one of s]`);
    expect(() => state.write("s", Tensor.from("f32", [3], [1, 2, 3]))).toThrowErrorMatchingInlineSnapshot(
      `[StateError: state "s": expected f32[2], got f32[3]]`,
    );
  });

  test("rows of a state beyond the extent are not touched", () => {
    const n = dim("n", { min: 1, max: 15 });
    const graph = define("tail", (g) => ({ y: g.stateWrite(g.state("y", "f32", [n]), g.relu(g.input("x", "f32", [n]))) }));
    using compiled = session.compileSync(graph);
    using state = session.createState(compiled);
    compiled.runSync({ inputs: { x: new Float32Array(15).fill(1) }, state });
    compiled.setActiveExtent({ actual: 5, upper: 15 });
    const { y } = compiled.runSync({ inputs: { x: new Float32Array(5).fill(-1) }, state });
    expect(y.toArray()).toEqual([0, 0, 0, 0, 0]);
    expect(state.read("y").toArray()).toEqual([0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
    compiled.setActiveExtent(undefined);
    compiled.runSync({ inputs: { x: new Float32Array(15).fill(-1) }, state });
    expect(state.read("y").toArray()).toEqual(new Array(15).fill(0));
    expect(state.read("y", [2]).shape).toEqual([2]);
  });

  test("the first rows of a state along an axis are taken out and put back, the others stay", () => {
    const graph = define("rows", (g) => ({ y: g.mul(g.state("k", "f16", [2, 3, 2]), 1), q: g.state("q", "q8_0", [2, 32]) }));
    using compiled = session.compileSync(graph);
    using state = session.createState(compiled);
    state.write("k", Tensor.from("f16", [2, 3, 2], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]));
    const rows = state.readRows("k", 1, 2);
    expect([rows.shape, rows.toArray()]).toEqual([
      [2, 2, 2],
      [1, 2, 3, 4, 7, 8, 9, 10],
    ]);
    expect(state.readRows("k", 1, 0).shape).toEqual([2, 0, 2]);
    state.reset();
    state.writeRows("k", 1, rows);
    expect(state.read("k").toArray()).toEqual([1, 2, 3, 4, 0, 0, 7, 8, 9, 10, 0, 0]);
    state.writeRows("q", 0, Tensor.from("q8_0", [1, 32], new Float32Array(32).fill(127)));
    expect(state.readRows("q", 0, 2).values()).toEqual(Float32Array.from({ length: 64 }, (_, i) => (i < 32 ? 127 : 0)));
    expect(state.readRows("k", 1, 1, 1).toArray()).toEqual([3, 4, 9, 10]);
    state.writeRows("k", 1, Tensor.from("f16", [2, 1, 2], [5, 6, 11, 12]), 2);
    expect(state.read("k").toArray()).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    expect(() => state.readRows("k", 1, 1, 3)).toThrowErrorMatchingInlineSnapshot(`[StateError: state "k": rows: expected 0 to 0, got 1]`);
    expect(() => state.readRows("k", 1, 4)).toThrowErrorMatchingInlineSnapshot(`[StateError: state "k": rows: expected 0 to 3, got 4]`);
    expect(() => state.readRows("q", 1, 32)).toThrowErrorMatchingInlineSnapshot(
      `[StateError: state "q": axis: expected one of q8_0[2, 32] that has whole elements, got 1]`,
    );
    expect(() => state.writeRows("k", 0, rows)).toThrowErrorMatchingInlineSnapshot(
      `[StateError: state "k": expected f16[2, 3, 2], got f16[2, 2, 2]]`,
    );
  });

  test("rows move to a set of another capacity, those behind them stay", () => {
    const ofCapacity = (rows: number) => session.compileSync(define("rows", (g) => ({ y: g.mul(g.state("k", "f16", [2, rows, 2]), 1) })));
    using small = ofCapacity(2);
    using large = ofCapacity(4);
    using from = session.createState(small);
    using to = session.createState(large);
    from.write("k", Tensor.from("f16", [2, 2, 2], [1, 2, 3, 4, 5, 6, 7, 8]));
    to.write("k", Tensor.from("f16", [2, 4, 2], new Array(16).fill(9)));
    expect(to.copyRowsFrom(from, "k", 1, 2)).toBe(16);
    expect(to.read("k").toArray()).toEqual([1, 2, 3, 4, 9, 9, 9, 9, 5, 6, 7, 8, 9, 9, 9, 9]);
    expect(() => to.copyRowsFrom(from, "k", 1, 3)).toThrowErrorMatchingInlineSnapshot(
      `[StateError: state "k": rows: expected 0 to 2, got 3]`,
    );
    expect(() => to.copyRowsFrom(from, "k", 2, 1)).toThrowErrorMatchingInlineSnapshot(
      `[StateError: state "k": expected f16[2, 4, 2] but for axis 2, got f16[2, 2, 2]]`,
    );
  });

  test("a cache is written in place at a position, and its other rows stay", () => {
    const graph = define("cache", (g) => {
      const cache = g.state("k", "f16", [1, 4, 2]);
      const next = g.kvWrite(cache, g.input("x", "f32", [1, 1, 2]), g.input("pos", "i32", []), { headDim: 2 });
      return { sum: g.reduceSum(g.cast(next, { dtype: "f32" }), { axes: [1] }) };
    });
    using compiled = session.compileSync(graph);
    using state = session.createState(compiled);
    for (const pos of [0, 2]) compiled.runSync({ inputs: { x: new Float32Array([pos + 1, 0.5]), pos }, state });
    expect(state.read("k").toArray()).toEqual([1, 0.5, 0, 0, 3, 0.5, 0, 0]);
    const before = state.read("k");
    expect(() => compiled.runSync({ inputs: { x: new Float32Array(2), pos: 4 }, state })).toThrow(KernelError);
    expect(state.read("k")).toEqual(before);
    expect(compiled.stats()).toMatchObject({ stateCopies: 0 });
  });
}
