import { define, Tensor } from "@rlxjs/ir";
import { Session, WeightStore } from "@rlxjs/runtime";
import { expect, test } from "vitest";
import "@rlxjs/backend-cpu";

const f32 = (shape: number[], values: number[]) => Tensor.from("f32", shape, values);
const close = (a: Tensor, b: readonly number[], tolerance: number) => {
  expect(a.size).toBe(b.length);
  for (const [i, v] of a.toArray().entries())
    expect(Math.abs(v - (b[i] ?? Number.NaN)), `element ${i}: ${v} and ${b[i]}`).toBeLessThanOrEqual(tolerance);
};

test.each(["reference", "native"] as const)(
  "%s kernels: gelu(x @ w + b) runs, and runs again with another x on the same weights",
  async (kernels) => {
    const graph = define("mlp", (g) => {
      const x = g.input("x", "f32", [2, 4]);
      return { y: g.gelu(g.add(g.matmul(x, g.param("w", "f32", [4, 3])), g.param("b", "f32", [3]))) };
    });
    using weights = new WeightStore({ w: f32([4, 3], [1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]), b: f32([3], [0.5, -0.5, 0]) });
    using session = await Session.open({ device: "cpu", kernels });
    using compiled = await session.compile(graph, { weights });
    const { y } = await compiled.run({ inputs: { x: f32([2, 4], [1, 0, 0, 0, 0, 1, 0, 0]) } });
    close(y, [1.399, -0.154, 0, 0.346, 0.346, 0], 0.01);
    const again = compiled.runSync({ inputs: { x: new Float32Array(8) } });
    close(again.y, [0.346, -0.154, 0, 0.346, -0.154, 0], 0.01);
    expect(compiled.stats()).toMatchObject({ compiles: 1, runs: 2, stateCopies: 0 });
  },
);
