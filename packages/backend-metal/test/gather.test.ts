import { type DType, dim, graphBuilder, ops, Rng, randomTensor, Tensor } from "@rlxjs/ir";
import { KernelError, lowerGraph } from "@rlxjs/runtime";
import { describe, expect, test } from "vitest";
import { caseOf, expectRight } from "./op-cases.ts";
import { SymbolicOp } from "./symbolic-op.ts";
import { backendOf, describeVariants, expectNoFaults } from "./variants.ts";

const rng = new Rng(37);
const random = (dtype: DType, ...shape: number[]): Tensor => randomTensor(rng, dtype, shape);
const indices = (extent: number, ...shape: number[]): Tensor =>
  Tensor.from(
    "i32",
    shape,
    Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => rng.int(0, extent - 1)),
  );

describeVariants("slices by index", (variant) => {
  test("gather and scatter: many indices, again and again the same ones, slices of every size", () => {
    const slices = [1, 2, 3, 31, 33, 64];
    const dtypes = ["u8", "f16", "f32", "i64", "bf16"] as const;
    const cases = dtypes.flatMap((dtype, i) => slices.map((slice, j) => ({ dtype, slice, count: [1, 7, 40][(i + j) % 3] ?? 1 })));
    expectRight(
      variant,
      ops.gather,
      cases.map(({ dtype, slice, count }) => caseOf(ops.gather, [random(dtype, 2, 9, slice), indices(9, count)], { axis: 1 })),
    );
    for (const reduce of ["none", "add"])
      expectRight(
        variant,
        ops.scatter,
        cases.map(({ dtype, slice, count }) =>
          caseOf(ops.scatter, [random(dtype, 2, 9, slice), indices(9, count), random(dtype, 2, count, slice)], { axis: 1, reduce }),
        ),
      );
  });

  test("sums of f16 and bf16 round once, in the order of the updates", () => {
    const updates = [2048, ...new Array<number>(63).fill(1)];
    for (const [dtype, sum] of [
      ["f16", 2111],
      ["bf16", 2112],
      ["f32", 2111],
    ] as const) {
      using op = new SymbolicOp(
        backendOf(variant),
        ops.scatter,
        [
          { dtype, shape: [2] },
          { dtype: "i64", shape: [64] },
          { dtype, shape: [64] },
        ],
        { reduce: "add" },
        1,
      );
      const [out] = op.run([
        Tensor.zeros(dtype, [2]),
        Tensor.from("i64", [64], new Array<number>(64).fill(1)),
        Tensor.from(dtype, [64], updates),
      ]);
      expect(out?.toArray()).toEqual([0, Tensor.from(dtype, [], [sum]).get(0)]);
    }
    expectNoFaults();
  });

  test("any number of indices in one program", () => {
    const n = dim("n", { min: 0, max: 300 });
    using gather = new SymbolicOp(
      backendOf(variant),
      ops.gather,
      [
        { dtype: "f16", shape: [n, 7] },
        { dtype: "u32", shape: [n, 2] },
      ],
      {},
      1,
    );
    using scatter = new SymbolicOp(
      backendOf(variant),
      ops.scatter,
      [
        { dtype: "f16", shape: [5, n] },
        { dtype: "i32", shape: [n] },
        { dtype: "f16", shape: [5, n] },
      ],
      { axis: 1 },
    );
    for (const count of [0, 1, 31, 33, 300]) {
      const list = Tensor.from("u32", [count, 2], indices(Math.max(1, count), 2 * count).toArray());
      expect(gather.wrong([random("f16", count, 7), list], { n: count })).toEqual([]);
      expect(scatter.wrong([random("f16", 5, count), indices(count, count), random("f16", 5, count)], { n: count })).toEqual([]);
    }
    expectNoFaults();
  });

  describe("an index that is not there", () => {
    const list = (...values: number[]): Tensor => Tensor.from("i64", [values.length], values);
    const refused = (def: typeof ops.gather | typeof ops.scatter, slots: Tensor[]): string => {
      using op = new SymbolicOp(backendOf(variant), def, slots);
      try {
        op.run(slots);
      } catch (error) {
        expect(error).toBeInstanceOf(KernelError);
        expectNoFaults();
        return (error as Error).message;
      }
      return "accepted";
    };

    test("is named, the first of several, also where there is nothing to move", () => {
      const wrong = list(...new Array<number>(100).fill(1), 4, -1, 9);
      expect([
        refused(ops.gather, [random("f32", 4, 40), wrong]),
        refused(ops.gather, [random("f32", 4, 0), list(0, -5)]),
        refused(ops.gather, [random("f32", 0, 3), list(0)]),
        refused(ops.scatter, [random("f32", 4, 40), wrong, random("f32", 103, 40)]),
        refused(ops.scatter, [random("u8", 2, 0), list(2 ** 40), random("u8", 1, 0)]),
      ]).toMatchInlineSnapshot(`
        [
          "graph "gather": step 0 gather (gather): index 100: expected 0 to 3, got 4",
          "graph "gather": step 0 gather (gather): index 1: expected 0 to 3, got -5",
          "graph "gather": step 0 gather (gather): index 0: expected 0 to -1, got 0",
          "graph "scatter": step 0 scatter (scatter): index 100: expected 0 to 3, got 4",
          "graph "scatter": step 0 scatter (scatter): index 0: expected 0 to 1, got 1099511627776",
        ]
      `);
    });

    test("leaves states of later steps as they are", () => {
      const g = graphBuilder("after");
      const row = g.gather(g.input("table", "f32", [4, 8]), g.input("ids", "i32", [1]));
      g.output("state", g.stateWrite(g.state("state", "f32", [1, 8]), row));
      const backend = backendOf(variant);
      const program = lowerGraph(g.build(), { kernels: backend.kernels });
      using executable = backend.load(
        program,
        program.buffers.map(() => undefined),
      );
      using state = backend.allocate(32);
      state.bytes.fill(7);
      const table = random("f32", 4, 8);
      const run = (id: number): void =>
        executable.runSync({
          extents: [],
          inputs: [table.bytes, Tensor.from("i32", [1], [id]).bytes],
          outputs: [undefined],
          states: [state],
        });
      expect(() => run(4)).toThrow("index 0: expected 0 to 3, got 4");
      expect(state.bytes.every((b) => b === 7)).toBe(true);
      run(2);
      expect([...state.bytes]).toEqual([...table.bytes.subarray(64, 96)]);
      expectNoFaults();
    });
  });
});
