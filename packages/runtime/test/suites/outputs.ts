import { define, dim, Tensor } from "@rlxjs/ir";
import { OutputError, WeightStore } from "@rlxjs/runtime";
import { afterAll, expect, test } from "vitest";
import type { OpenSession } from "./open-session.ts";

const f32 = (values: number[], shape = [values.length]) => Tensor.from("f32", shape, values);

export async function outputsSuite(open: OpenSession): Promise<void> {
  const session = await open();
  afterAll(() => session[Symbol.dispose]());

  test("outputs may be inputs, constants, weights, states, views, or the same value twice", async () => {
    const graph = define("aliases", (g) => {
      const x = g.input("x", "f32", [2, 2]);
      const w = g.param("w", "f32", [3]);
      const before = g.state("s", "f32", [2]);
      const view = g.reshape(before, { shape: [1, 2] });
      const sum = g.add(x, x);
      const after = g.stateWrite(before, g.reshape(g.slice(sum, { axis: 0, start: 1, size: 1 }), { shape: [2] }));
      return {
        x,
        again: x,
        w,
        reversed: g.slice(w, { axis: 0, start: 1, size: 2 }),
        constant: g.constant(f32([7, 8])),
        sum,
        same: sum,
        flat: g.reshape(sum, { shape: [4] }),
        row: g.slice(sum, { axis: 0, start: 1, size: 1 }),
        before: view,
        after,
      };
    });
    using weights = new WeightStore({ w: f32([1, 2, 3]) });
    using compiled = await session.compile(graph, { weights });
    const run = async (x: number[]) =>
      Object.fromEntries(Object.entries(await compiled.run({ inputs: { x: f32(x, [2, 2]) } })).map(([k, t]) => [k, t.toArray()]));
    const first = await run([1, 2, 3, 4]);
    expect(first).toEqual({
      x: [1, 2, 3, 4],
      again: [1, 2, 3, 4],
      w: [1, 2, 3],
      reversed: [2, 3],
      constant: [7, 8],
      sum: [2, 4, 6, 8],
      same: [2, 4, 6, 8],
      flat: [2, 4, 6, 8],
      row: [6, 8],
      before: [0, 0],
      after: [6, 8],
    });
    expect((await run([0, 0, 1, 1])).before).toEqual([6, 8]);
    expect(compiled.stats().stateCopies).toBe(2 * 2);
  });

  test("a view of a state keeps its value when the state is written before the view is used", () => {
    const graph = define("swap", (g) => {
      const old = g.state("s", "f32", [2]);
      const seen = g.reshape(old, { shape: [2, 1] });
      const next = g.stateWrite(old, g.input("x", "f32", [2]));
      return { difference: g.sub(g.reshape(next, { shape: [2, 1] }), seen) };
    });
    using compiled = session.compileSync(graph);
    expect(compiled.runSync({ inputs: { x: new Float32Array([1, 2]) } }).difference.toArray()).toEqual([1, 2]);
    expect(compiled.runSync({ inputs: { x: new Float32Array([5, 5]) } }).difference.toArray()).toEqual([4, 3]);
  });

  test("only the outputs that are read are delivered, and into given memory", async () => {
    const graph = define("two", (g) => {
      const x = g.input("x", "f32", [3]);
      const a = g.add(x, 1);
      return { a, b: g.mul(a, 2) };
    });
    using compiled = await session.compile(graph);
    const inputs = { x: new Float32Array([1, 2, 3]) };
    const { b } = await compiled.runReadOutputs(inputs, ["b"]);
    expect(b.toArray()).toEqual([4, 6, 8]);
    const memory = new Float32Array(3);
    const result = await compiled.run({ inputs, into: { a: memory } });
    expect(result.a.data).toBe(memory);
    expect([...memory]).toEqual([2, 3, 4]);
    await expect(compiled.run({ inputs, into: { a: new Float32Array(4) } })).rejects.toThrow(OutputError);
    await expect(compiled.run({ inputs, into: { a: new Float32Array(4) } })).rejects.toMatchInlineSnapshot(
      `[OutputError: graph "two": output "a": expected 12 bytes for f32[3], got 16]`,
    );
    await expect(compiled.run({ inputs, into: { a: inputs.x } })).rejects.toMatchInlineSnapshot(
      `[OutputError: graph "two": output "a": its memory is also that of input "x"]`,
    );
    const whole = new Float32Array(5);
    await expect(compiled.run({ inputs, into: { a: whole.subarray(0, 3), b: whole.subarray(2) } })).rejects.toMatchInlineSnapshot(
      `[OutputError: graph "two": output "a": its memory is also that of output "b"]`,
    );
    await expect(compiled.run({ inputs, into: { a: new Int32Array(3) } })).rejects.toMatchInlineSnapshot(
      `[OutputError: graph "two": output "a": expected a Float32Array, got a Int32Array]`,
    );
  });

  test("dtypes are kept exactly, whatever the alignment of the bytes", () => {
    const graph = define("typed", (g) => {
      const p = g.param("p", "f16", [4]);
      const x = g.input("x", "f16", [4]);
      const half = g.param("half", "bf16", [4]);
      return {
        f16: g.add(x, p),
        bf16: g.add(half, 0.5),
        f32: g.relu(g.cast(x, { dtype: "f32" })),
        back: g.cast(g.cast(x, { dtype: "f32" }), { dtype: "f16" }),
      };
    });
    const bytes = new Uint8Array(9);
    bytes.set(Tensor.from("f16", [4], [10, 20, 30, 40]).bytes, 1);
    const x = Tensor.fromBytes("f16", [4], bytes.subarray(1));
    using weights = new WeightStore({ p: Tensor.from("f16", [4], [1, 2, 3, 4]), half: Tensor.from("bf16", [4], [1.5, 2.5, 3.5, 4.5]) });
    using compiled = session.compileSync(graph, { weights });
    const out = compiled.runSync({ inputs: { x } });
    expect(out.f16.dtype).toBe("f16");
    expect(out.f16.toArray()).toEqual([11, 22, 33, 44]);
    expect(out.bf16.toArray()).toEqual([2, 3, 4, 5]);
    expect(out.f32.bytes.byteLength).toBe(16);
    expect(out.back.bytes.byteLength).toBe(8);
    expect(out.back.toArray()).toEqual([10, 20, 30, 40]);
  });

  test("relu((a + b) * c)", () => {
    const graph = define("region", (g) => {
      const [a, b, c] = (["a", "b", "c"] as const).map((n) => g.input(n, "f32", [8])) as [never, never, never];
      return { y: g.relu(g.mul(g.add(a, b), c)) };
    });
    using compiled = session.compileSync(graph);
    const a = [1, -2, 3, -4, 0.5, -0.5, 1.5, -1.5];
    const b = [0.5, 1, 2, 4, 0.5, 0.5, 0.5, 0.5];
    const c = [1, 2, 1, 1, 2, 3, 0.5, 4];
    const { y } = compiled.runSync({ inputs: { a: f32(a), b: f32(b), c: f32(c) } });
    expect(y.toArray()).toEqual(a.map((v, i) => Math.max(0, (v + (b[i] ?? 0)) * (c[i] ?? 0))));
  });

  test("one program serves every extent, dense at each", () => {
    const seq = dim("seq", { min: 1, max: 15 });
    const graph = define("rows", (g) => {
      const x = g.input("x", "f32", [seq, 2]);
      return { y: g.relu(x), mean: g.reduceMean(x, { axes: [0] }) };
    });
    using compiled = session.compileSync(graph);
    for (const rows of [15, 1, 7]) {
      const x = Float32Array.from({ length: rows * 2 }, (_, i) => i - rows);
      const { y } = compiled.runSync({ inputs: { x } });
      expect(y.shape).toEqual([rows, 2]);
      expect(y.toArray()).toEqual([...x].map((v) => Math.max(0, v)));
    }
    expect(compiled.stats().compiles).toBe(1);
  });
}
