import { define, dim, evaluateGraph, RunError, Tensor } from "@rlxjs/ir";
import { expect, test } from "vitest";

test("a graph runs node by node, extents follow from the inputs, states are written in place", () => {
  const seq = dim("seq", { min: 1, max: 4 });
  const graph = define("cache", (g) => {
    const x = g.input("x", "f32", [1, seq, 2]);
    const pos = g.input("pos", "i32", []);
    const cache = g.kvWrite(g.state("k", "f16", [1, 4, 2]), x, pos, { headDim: 2 });
    const y = g.attention(x, cache, cache, { numHeads: 1, numKvHeads: 1, headDim: 2, causal: true, qPos: pos, kvLen: g.add(pos, 2) });
    return { y, last: g.slice(g.reshape(x, { shape: [seq, 2] }), { axis: 0, start: 0, size: 1 }) };
  });
  const states = new Map<string, Tensor>();
  const x = Tensor.from("f32", [1, 2, 2], [1, 0, 0, 1]);
  const { y, last } = evaluateGraph(graph, { inputs: { x, pos: Tensor.from("i32", [], [1]) }, states });
  expect(states.get("k")?.toArray()).toEqual([0, 0, 1, 0, 0, 1, 0, 0]);
  expect(y?.shape).toEqual([1, 2, 2]);
  expect(last?.toArray()).toEqual([1, 0]);
  // Query 0 at position 1 sees slot 0 (zeros, score 0) and slot 1 (itself, score 1 / sqrt 2).
  const e = Math.exp(Math.SQRT1_2);
  expect(y?.get(0)).toBeCloseTo(e / (1 + e), 6);

  const before = states.get("k")?.toArray();
  expect(() => evaluateGraph(graph, { inputs: { x, pos: Tensor.from("i32", [], [3]) }, states })).toThrow(RunError);
  expect(states.get("k")?.toArray()).toEqual(before);
  expect(() =>
    evaluateGraph(graph, { inputs: { x: Tensor.zeros("f32", [1, 5, 2]), pos: Tensor.from("i32", [], [0]) } }),
  ).toThrowErrorMatchingInlineSnapshot(`[GraphError: graph "cache": extent "seq": expected 1 to 4, got 5]`);
  expect(() => evaluateGraph(graph, { inputs: { pos: Tensor.from("i32", [], [0]) } })).toThrowErrorMatchingInlineSnapshot(
    `[GraphError: graph "cache": input "x": expected a tensor, got nothing]`,
  );
});
