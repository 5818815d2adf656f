import { metalKernels, planProgram } from "@rlxjs/backend-metal";
import { type AnyOpDef, type AttrRecord, checkAttrs, dim, graphBuilder, ops } from "@rlxjs/ir";
import { lowerGraph } from "@rlxjs/runtime";
import fc from "fast-check";
import { expect, test } from "vitest";
import { add, ceilDiv, div, evalExpr, type Expr, max, min, mul } from "../src/expr.ts";
import { isSplit, PART, SIMDGROUP, teamGrid, teams, threadGrid, upperBound } from "../src/kernels/grid.ts";

const most = { a: 7, b: 12 };
const symbol = (name: keyof typeof most) => dim(name, { min: 0, max: most[name] });
const extents = fc.record({ a: fc.nat(most.a), b: fc.nat(most.b) });
const leaf: fc.Arbitrary<Expr> = fc.oneof(fc.nat(9), fc.constantFrom(symbol("a"), symbol("b")));
const { expr } = fc.letrec<{ expr: Expr }>((tie) => ({
  expr: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    leaf,
    fc.tuple(fc.constantFrom(add, mul, max, min), tie("expr"), tie("expr")).map(([op, a, b]) => op(a, b)),
    fc.tuple(fc.constantFrom(div, ceilDiv), tie("expr"), fc.integer({ min: 1, max: 9 })).map(([op, a, n]) => op(a, n)),
  ),
}));

test("no value of an expression is above its upper bound", () => {
  fc.assert(
    fc.property(expr, extents, (e, at) => {
      expect(evalExpr(e, at)).toBeLessThanOrEqual(upperBound(e));
    }),
    { numRuns: 2000, seed: 1 },
  );
});

test("upper bounds of what grids and scratch memory are made of are reached", () => {
  const [a, b] = [symbol("a"), symbol("b")];
  const made = [add(ceilDiv(a, 4), b), mul(ceilDiv(a, 4), b), max(div(a, 4), 1), max(div(b, 5), a), div(b, 5), ceilDiv(b, 5), mul(a, b)];
  expect(made.map(upperBound)).toEqual(made.map((e) => evalExpr(e, most)));
});

test("threads of a grid are cut along x, then y, then z", () => {
  const shapes = (...size: readonly [Expr, Expr?, Expr?][]) => size.map((of) => threadGrid(...of).threadsPerThreadgroup);
  expect(shapes([1000], [1000, 3], [5, 3], [5, 3, 9], [1, 1, 1000], [0, 0])).toEqual([
    [256, 1, 1],
    [256, 1, 1],
    [64, 4, 1],
    [8, 4, 8],
    [1, 1, 256],
    [256, 1, 1],
  ]);
});

test("teams: one for every piece of work, as many threads as a threadgroup may have", () => {
  fc.assert(
    fc.property(fc.nat(5000), fc.integer({ min: 0, max: 3000 }), fc.integer({ min: 1, max: 4 }), (work, threads, parts) => {
      const { team, grid, threadsPerThreadgroup } = teamGrid(work, threads, parts);
      const [across = 0, down = 0, deep = 0] = "threadgroups" in grid ? grid.threadgroups.map(Number) : [];
      const [size, ...others] = threadsPerThreadgroup;
      expect([down, deep, others, size % SIMDGROUP]).toEqual([parts, 1, [1, 1], 0]);
      const expected = threads > 128 ? teams.threadgroup : threads > 1 ? teams.simdgroup : teams.thread;
      expect(team).toBe(expected);
      const each = { [teams.thread]: 1, [teams.simdgroup]: SIMDGROUP, [teams.threadgroup]: size }[team];
      const together = size / each;
      expect(across * together).toBeGreaterThanOrEqual(work);
      expect((across - 1) * together).toBeLessThan(Math.max(1, work));
      expect(size).toBeLessThanOrEqual(team === teams.threadgroup ? 1024 : 256);
      if (team === teams.threadgroup) expect(size).toBe(Math.min(1024, Math.ceil(threads / SIMDGROUP) * SIMDGROUP));
      else expect(size).toBe(Math.min(256, Math.max(1, Math.ceil((work * each) / SIMDGROUP)) * SIMDGROUP));
    }),
    { numRuns: 1000, seed: 2 },
  );
});

test("rows are split where one is long and there are few", () => {
  const [rows, n] = [symbol("b"), dim("n", { min: 0, max: 2 * PART })];
  expect([isSplit(64, 2 * PART), isSplit(65, 2 * PART), isSplit(64, 2 * PART - 1), isSplit(rows, n), isSplit(1, PART)]).toEqual([
    true,
    false,
    false,
    true,
    false,
  ]);
});

test("launches of a long row: one for its parts and one that merges them, unless there are many rows", () => {
  const launchesOf = (def: AnyOpDef, rows: number, length: number, attrs: AttrRecord): number => {
    const g = graphBuilder("long");
    for (const [i, v] of g.emit(def, [g.input("x", "f32", [rows, length])], checkAttrs(def, attrs)).entries()) g.output(`${i}`, v);
    return planProgram(lowerGraph(g.build(), { kernels: metalKernels }), metalKernels).launches.length;
  };
  for (const [def, attrs] of [
    [ops.topk, { k: 3 }],
    [ops.argmax, {}],
    [ops.reduceSum, { axes: [1] }],
  ] as const)
    expect([launchesOf(def, 2, 2 * PART, attrs), launchesOf(def, 2, PART, attrs), launchesOf(def, 65, 2 * PART, attrs)], def.name).toEqual([
      2, 1, 1,
    ]);
});
