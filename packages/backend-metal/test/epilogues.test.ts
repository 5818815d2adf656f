import { define, dim, evaluateGraph, type Graph, Rng, randomTensor, Tensor, weightTensor } from "@rlxjs/ir";
import { expect, test } from "vitest";
import { describeVariants, expectNoFaults, openSession } from "./variants.ts";

/** Both sides of every choice of a kernel, and of a tile. */
const rowCounts = [0, 1, 2, 7, 8, 9, 33, 65];
const rows = dim("rows", { min: 0, max: 70 });

describeVariants("epilogues", (variant) => {
  test("epilogues with broadcast operands at every number of rows", async () => {
    const rng = new Rng(3);
    const [n, k] = [70, 64];
    const params = { w: weightTensor(rng, "q4_0", [n, k]), v: randomTensor(rng, "f16", [n, k]), bias: randomTensor(rng, "bf16", [n]) };
    const graph: Graph = define("epilogues", (g) => {
      const x = g.input("x", "f32", [rows, k]);
      const [wide, tall] = [g.input("column", "f32", [n]), g.input("row", "f16", [rows, 1])];
      const gated = g.mul(
        g.silu(g.linear(x, g.constant(params.w), { bias: g.constant(params.bias) })),
        g.add(wide, g.cast(tall, { dtype: "f32" })),
      );
      const halves = g.linear(g.input("h", "f16", [rows, k]), g.constant(params.v));
      return {
        gated,
        rest: g.add(g.mul(g.tanh(halves), tall), g.input("residual", "f16", [rows, n])),
        positive: g.gt(g.linear(g.input("signs", "f16", [rows, k]), g.constant(params.v)), tall),
      };
    });
    using session = await openSession(variant);
    using compiled = session.compileSync(graph);
    const fused = compiled.dispatchReport.entries.filter((e) => e.op === "with_epilogue");
    expect(fused.length).toBe(3);
    for (const count of rowCounts) {
      const inputs = {
        x: randomTensor(rng, "f32", [count, k]),
        h: randomTensor(rng, "f16", [count, k], 0.2),
        signs: randomTensor(rng, "f16", [count, k], 0.2),
        column: randomTensor(rng, "f32", [n]),
        row: randomTensor(rng, "f16", [count, 1]),
        residual: randomTensor(rng, "f16", [count, n]),
      };
      const actual = compiled.runSync({ inputs });
      expectNoFaults();
      for (const [name, expected] of Object.entries(evaluateGraph(graph, { inputs, extents: { rows: count } }))) {
        const got = actual[name] as Tensor;
        const scale = name === "gated" ? 1e-4 : 4e-3;
        // A comparison may turn where both sides are equal but for rounding.
        if (name === "positive") expect(got.toArray().filter((v, i) => v !== expected.get(i)).length).toBeLessThanOrEqual(got.size / 200);
        else
          for (const [i, v] of expected.toArray().entries())
            expect(Math.abs(got.get(i) - v), `${name}[${i}] x${count}`).toBeLessThanOrEqual(scale * Math.max(1, Math.abs(v)));
      }
    }
  });

  test("places of experts are weighted as they are finished, alone and in tiles", async () => {
    const rng = new Rng(4);
    const [experts, n, k] = [3, 37, 32];
    const w = weightTensor(rng, "q8_0", [experts, n, k]);
    const graph = define("weighted", (g) => {
      const y = g.groupedLinear(g.input("x", "f32", [rows, k]), g.constant(w), g.input("experts", "i32", [rows, 2]));
      return { y: g.mul(g.add(y, g.input("column", "f32", [n])), g.input("weights", "f32", [rows, 2, 1])) };
    });
    using session = await openSession(variant);
    using compiled = session.compileSync(graph);
    expect(compiled.dispatchReport.entries.map((e) => e.op)).toEqual(["with_epilogue"]);
    for (const count of [0, 1, 4, 5, 60]) {
      const ids = Array.from({ length: 2 * count }, () => rng.int(0, experts - 1));
      const inputs = {
        x: randomTensor(rng, "f32", [count, k]),
        experts: Tensor.from("i32", [count, 2], ids),
        column: randomTensor(rng, "f32", [n]),
        weights: randomTensor(rng, "f32", [count, 2, 1]),
      };
      const { y } = compiled.runSync({ inputs });
      expectNoFaults();
      const expected = evaluateGraph(graph, { inputs, extents: { rows: count } }).y as Tensor;
      for (const [i, v] of expected.toArray().entries())
        expect(Math.abs(y.get(i) - v)).toBeLessThanOrEqual(1e-4 * Math.max(1, Math.abs(v)));
    }
  });
});
