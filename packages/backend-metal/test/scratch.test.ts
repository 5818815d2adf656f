import { evalExpr, metalKernels, planProgram } from "@rlxjs/backend-metal";
import { define, dim, type Graph } from "@rlxjs/ir";
import { lowerGraph } from "@rlxjs/runtime";
import { expect, test } from "vitest";

/** Bytes of scratch memory that the launches of a graph bind, each once. */
function scratchOf(graph: Graph, extents: Readonly<Record<string, number>> = {}): number[] {
  const { launches } = planProgram(lowerGraph(graph, { kernels: metalKernels }), metalKernels);
  const bound = launches.flatMap(({ launch }) => launch.buffers.flatMap((b) => (b.kind === "scratch" ? [evalExpr(b.bytes, extents)] : [])));
  return [...new Set(bound)];
}

// 20,000 elements are three parts of at most 8192.
test("partial results: of every part of every row", () => {
  const reduced = define("reduce", (g) => ({ y: g.reduceSum(g.input("x", "f32", [5, 20_000]), { axes: [1] }) }));
  const least = define("arg", (g) => ({ y: g.argmin(g.input("x", "f32", [5, 20_000, 2]), { axis: 1 }) }));
  const best = define("topk", (g) => ({ y: g.topk(g.input("x", "f32", [5, 20_000]), { k: 7 }).indices }));
  expect(scratchOf(reduced)).toEqual([5 * 3 * 8]);
  expect(scratchOf(least)).toEqual([5 * 2 * 3 * 16]);
  expect(scratchOf(best)).toEqual([5 * 3 * 7 * 4]);
});

test("records of attention: of every share of every row that decode may have", () => {
  const [heads, headDim, capacity] = [4, 70, 1000];
  const attention = (queries: number | ReturnType<typeof dim>): Graph =>
    define("attention", (g) => {
      const cache = (name: string) => g.input(name, "f16", [3, heads, capacity, headDim]);
      const q = g.input("q", "f32", [3, queries, heads * headDim]);
      return { y: g.attention(q, cache("k"), cache("v"), { numHeads: heads, numKvHeads: heads, headDim, kvLayout: "head" }) };
    });
  // Shares of 256 keys, values in quads, and what goes with them.
  const record = (72 + 4) * 4;
  expect(scratchOf(attention(2))).toEqual([3 * 2 * heads * 4 * record]);
  const queries = dim("queries", { min: 1, max: 64 });
  expect([1, 2, 64].map((n) => scratchOf(attention(queries), { queries: n })[0])).toEqual(
    [1, 2, 2].map((rows) => 3 * rows * heads * 4 * record),
  );
});
