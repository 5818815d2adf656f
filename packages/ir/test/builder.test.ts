import { define, dim, ops, Rng, Tensor } from "@rlxjs/ir";
import { expect, test } from "vitest";

test("methods and their types derive from the op table", () => {
  const seq = dim("seq", { min: 1, max: 8 });
  const graph = define("norm", (g) => {
    const x = g.input("x", "f32", [seq, 4]);
    const w = g.param("w", "f32", [4]);
    return { y: g.rmsNorm(g.add(x, 1), { weight: w, eps: 1e-6 }) };
  });
  expect(graph.nodes.map((n) => n.op)).toEqual(["input", "param", "constant", "add", "rms_norm"]);
  expect(graph.values.at(-1)?.shape.map(String)).toEqual(["seq", "4"]);
  expect(() => define("bad", (g) => g.add(g.input("a", "f32", [2]), g.input("b", "i32", [2])))).toThrowErrorMatchingInlineSnapshot(
    `[ShapeError: [add] expected operands of one dtype, got f32 and i32: cast one of them]`,
  );
});

test("the reference of an elementwise op broadcasts and rounds once", () => {
  const out = Tensor.zeros("f32", [2, 3]);
  ops.add.reference?.({ a: Tensor.from("f32", [2, 1], [1, 2]), b: Tensor.from("f32", [3], [10, 20, 30]) }, {}, out);
  expect(out.toArray()).toEqual([11, 21, 31, 12, 22, 32]);
  expect(ops.rmsNorm.samples?.(new Rng(1)).length).toBeGreaterThan(10);
});
