import { define, dim, Tensor } from "@rlxjs/ir";
import { afterAll, expect, test } from "vitest";
import type { OpenSession } from "./open-session.ts";

const f32 = (values: number[], shape = [values.length]) => Tensor.from("f32", shape, values);
const ones = (shape: number[], value = 1) => f32(new Array<number>(shape.reduce((a, b) => a * b)).fill(value), shape);

// What a graph of capacity `upper` leaves in a state when a run has fewer rows: the state is the output buffer of the reference system.
export async function activeExtentSuite(open: OpenSession): Promise<void> {
  const session = await open();
  afterAll(() => session[Symbol.dispose]());

  test("sums of two vectors change the rows of the extent, and no others", () => {
    const n = dim("n", { min: 1, max: 4 });
    const graph = define("add", (g) => ({
      y: g.stateWrite(g.state("y", "f32", [n]), g.add(g.input("a", "f32", [n]), g.input("b", "f32", [n]))),
    }));
    using compiled = session.compileSync(graph);
    using state = session.createState(compiled);
    compiled.runSync({ inputs: { a: ones([4]), b: ones([4]) }, state });
    expect(state.read("y").toArray()).toEqual([2, 2, 2, 2]);
    const inputs = { a: ones([2], 10), b: ones([2], 10) };
    compiled.setActiveExtent({ actual: 2, upper: 4 });
    expect(compiled.runSync({ inputs, state }).y.toArray()).toEqual([20, 20]);
    expect(state.read("y").toArray()).toEqual([20, 20, 2, 2]);
    compiled.setActiveExtent(undefined);
    compiled.runSync({ inputs: { a: ones([4], 10), b: ones([4], 10) }, state });
    expect(state.read("y").toArray()).toEqual([20, 20, 20, 20]);
  });

  test("attention has as many queries and keys as the extent; rows of its state beyond them stay", () => {
    const n = dim("n", { min: 1, max: 4 });
    const graph = define("attention", (g) => {
      const [q, k, v] = (["q", "k", "v"] as const).map((name) => g.input(name, "f32", [1, n, 8])) as [never, never, never];
      const y = g.attention(q, k, v, { numHeads: 2, numKvHeads: 2, headDim: 4 });
      return { y: g.stateWrite(g.state("y", "f32", [1, n, 8]), y) };
    });
    using compiled = session.compileSync(graph);
    using state = session.createState(compiled);
    const run = (rows: number, value: number) => {
      const x = ones([1, rows, 8], value);
      return compiled.runSync({ inputs: { q: x, k: x, v: x }, state }).y;
    };
    run(4, 1);
    expect(state.read("y").toArray()).toEqual(new Array(32).fill(1));
    compiled.setActiveExtent({ actual: 2, upper: 4 });
    expect(run(2, 3).shape).toEqual([1, 2, 8]);
    expect(state.read("y").toArray()).toEqual([...new Array(16).fill(3), ...new Array(16).fill(1)]);
  });

  test("what mixes rows mixes those of the extent, not what an earlier run left behind them", () => {
    const n = dim("n", { min: 1, max: 4 });
    const graph = define("mean", (g) => {
      const x = g.input("x", "f32", [n, 1]);
      return { mean: g.reduceMean(x, { axes: [0] }), share: g.softmax(g.reshape(x, { shape: [1, n] })) };
    });
    using compiled = session.compileSync(graph);
    compiled.runSync({ inputs: { x: ones([4, 1], 100) } });
    compiled.setActiveExtent({ actual: 2, upper: 4 });
    const { mean, share } = compiled.runSync({ inputs: { x: f32([1, 1], [2, 1]) } });
    expect([mean.toArray(), share.toArray()]).toEqual([[1], [0.5, 0.5]]);
  });

  test("inputs say the extents of several symbols, or a length the only one", () => {
    const [batch, seq] = [dim("batch", { min: 1, max: 4 }), dim("seq", { min: 1, max: 512 })];
    const graph = define("product", (g) => ({ y: g.matmul(g.input("x", "f32", [batch, seq, 3]), g.input("w", "f32", [3, 8])) }));
    using compiled = session.compileSync(graph);
    expect(compiled.runSync({ inputs: { x: ones([2, 16, 3]), w: ones([3, 8]) } }).y).toEqual(ones([2, 16, 8], 3));
    const flat = define("flat", (g) => ({ y: g.neg(g.input("x", "f32", [seq, 64])) }));
    using one = session.compileSync(flat);
    expect(one.runSync({ inputs: { x: new Float32Array(8192) } }).y.shape).toEqual([128, 64]);
  });

  test("values of 16 bits are read at any alignment, cast, and given back in 2 bytes", async () => {
    const graph = define("half", (g) => {
      const x = g.input("x", "f16", [3]);
      const wide = g.relu(g.cast(x, { dtype: "f32" }));
      return { wide, half: g.cast(wide, { dtype: "f16" }), brain: g.cast(wide, { dtype: "bf16" }) };
    });
    using compiled = session.compileSync(graph);
    const values = [1.5, -2, 65504];
    const bytes = new Uint8Array(7);
    bytes.set(Tensor.from("f16", [3], values).bytes, 1);
    const x = Tensor.fromBytes("f16", [3], bytes.subarray(1));
    const half = new Uint16Array(3);
    const out = await compiled.run({ inputs: { x }, into: { half } });
    expect([out.wide.bytes.byteLength, out.half.bytes.byteLength, out.brain.bytes.byteLength]).toEqual([12, 6, 6]);
    expect(out.wide.toArray()).toEqual([1.5, 0, 65504]);
    expect(half).toEqual(Tensor.from("f16", [3], [1.5, 0, 65504]).data);
    expect(out.brain.toArray()).toEqual([1.5, 0, 65536]);
    expect((await compiled.run({ inputs: { x: new Uint16Array([0x3e00, 0xc000, 0x7bff]) } })).wide.toArray(), "the bits").toEqual([
      1.5, 0, 65504,
    ]);
  });
}
