import { define, randomTensor, Rng, Tensor } from "@rlxjs/ir";
import { Session, WeightStore } from "@rlxjs/runtime";
import { afterAll, expect, test } from "vitest";
import "@rlxjs/backend-cpu";

const session = await Session.open({ device: "cpu", kernels: "reference" });
afterAll(() => session[Symbol.dispose]());

test("weights are loaded when a graph needs them, once, and unused ones are reported", () => {
  let loads = 0;
  const weights = new WeightStore({
    w: () => {
      loads++;
      return Tensor.from("f32", [2], [1, 2]);
    },
    spare: Tensor.zeros("f32", [1]),
  });
  const graph = define("scale", (g) => ({ y: g.mul(g.input("x", "f32", [2]), g.param("w", "f32", [2])) }));
  using first = session.compileSync(graph, { weights });
  using second = session.compileSync(graph, { weights });
  weights[Symbol.dispose]();
  for (const c of [first, second]) expect(c.runSync({ inputs: { x: new Float32Array([10, 10]) } }).y.toArray()).toEqual([10, 20]);
  expect(loads).toBe(1);
  expect(weights.unused()).toEqual(["spare"]);
});

test("a store is released when its owner and every graph are done with it", () => {
  let released = 0;
  const weights = new WeightStore({ w: Tensor.zeros("f32", [1]) }, { onRelease: () => released++ });
  const graph = define("g", (g) => ({ y: g.add(g.input("x", "f32", [1]), g.param("w", "f32", [1])) }));
  const a = session.compileSync(graph, { weights });
  const b = session.compileSync(graph, { weights });
  weights[Symbol.dispose]();
  weights[Symbol.dispose]();
  a[Symbol.dispose]();
  a[Symbol.dispose]();
  expect(released).toBe(0);
  b[Symbol.dispose]();
  expect(released).toBe(1);
  expect(() => session.compileSync(graph, { weights })).toThrowErrorMatchingInlineSnapshot(
    `[UseAfterDisposeError: a WeightStore is used after it was disposed]`,
  );
});

test.each(["f32", "f16", "q8_0"] as const)("an expression of %s weights is evaluated once for all graphs that contain it", (dtype) => {
  const rng = new Rng(1);
  const [a, b] = [randomTensor(rng, dtype, [3, 32]), randomTensor(rng, dtype, [2, 32])];
  using weights = new WeightStore({ a, b });
  const graph = (name: string) =>
    define(name, (g) => ({
      y: g.linear(g.input("x", "f32", [1, 32]), g.concat([g.param("a", dtype, [3, 32]), g.param("b", dtype, [2, 32])], { axis: 0 })),
    }));
  using first = session.compileSync(graph("first"), { weights });
  const bytes = weights.derivedBytes;
  expect(bytes).toBe(a.bytes.byteLength + b.bytes.byteLength);
  using second = session.compileSync(graph("second"), { weights });
  expect(weights.derivedBytes).toBe(bytes);
  const x = randomTensor(rng, "f32", [1, 32]);
  const rows = [a, b].flatMap((t) => Array.from({ length: t.shape[0] ?? 0 }, (_, i) => [...t.values().subarray(i * 32, (i + 1) * 32)]));
  const expected = rows.map((row) => row.reduce((sum, w, i) => sum + w * x.get(i), 0));
  for (const c of [first, second])
    for (const [i, v] of c.runSync({ inputs: { x } }).y.toArray().entries()) expect(v).toBeCloseTo(expected[i] ?? 0, 4);
});

test("a row range of a weight is not copied", () => {
  const graph = define("part", (g) => ({
    y: g.linear(g.input("x", "f32", [1, 2]), g.slice(g.param("w", "f32", [4, 2]), { axis: 0, start: 2, size: 2 })),
  }));
  using weights = new WeightStore({ w: Tensor.from("f32", [4, 2], [0, 0, 0, 0, 1, 0, 0, 1]) });
  using compiled = session.compileSync(graph, { weights });
  expect(compiled.runSync({ inputs: { x: new Float32Array([3, 4]) } }).y.toArray()).toEqual([3, 4]);
  expect(weights.derivedBytes).toBe(0);
});

test("params may be set after compiling, and set again", () => {
  const graph = define("late", (g) => {
    const w = g.param("w", "f32", [2]);
    return { y: g.mul(g.input("x", "f32", [2]), g.neg(w)), w };
  });
  using compiled = session.compileSync(graph);
  const x = new Float32Array([1, 1]);
  compiled.setParam("w", Tensor.from("f32", [2], [1, 2]));
  expect(compiled.runSync({ inputs: { x } }).y.toArray()).toEqual([-1, -2]);
  compiled.setParam("w", Tensor.from("f32", [2], [3, 4]));
  expect(compiled.runSync({ inputs: { x } }).y.toArray()).toEqual([-3, -4]);
  using weights = new WeightStore({ w: Tensor.from("f32", [2], [5, 6]) });
  using shared = session.compileSync(graph, { weights });
  shared.setParam("w", Tensor.from("f32", [2], [7, 8]));
  using untouched = session.compileSync(graph, { weights });
  expect(shared.runSync({ inputs: { x } }).y.toArray()).toEqual([-7, -8]);
  expect(untouched.runSync({ inputs: { x } }).y.toArray()).toEqual([-5, -6]);
  expect(compiled.stats()).toMatchObject({ compiles: 2, runs: 2 });
});
