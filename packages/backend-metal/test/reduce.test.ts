import { type AnyOpDef, type DType, dim, ops, Rng, randomTensor, Tensor } from "@rlxjs/ir";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type Case, resultsOf } from "../../backend-cpu/test/one-op.ts";
import { caseOf, expectRight } from "./op-cases.ts";
import { lengths, SymbolicOp } from "./symbolic-op.ts";
import { backendOf, describeVariants, expectNoFaults } from "./variants.ts";

const rng = new Rng(29);
const reductions: readonly AnyOpDef[] = [ops.reduceSum, ops.reduceMean, ops.reduceProd, ops.reduceMax, ops.reduceMin];

describeVariants("reductions", (variant) => {
  test("over any axes, as random shapes have them", () => {
    const shapes = fc.array(fc.constantFrom<number>(1, 2, 3, 5, 1, 2, 33), { minLength: 1, maxLength: 6 });
    const choice = fc.record({
      shape: shapes.filter((s) => s.reduce((a, b) => a * b, 1) <= 3000),
      dtype: fc.constantFrom("f32", "f16", "bf16", "i8", "u8", "i16", "i32", "u32", "i64"),
      mask: fc.nat(63),
      keepDims: fc.boolean(),
    });
    for (const def of reductions)
      fc.assert(
        fc.property(fc.array(choice, { minLength: 20, maxLength: 20 }), (choices) => {
          const samples = choices
            .filter((c) => def !== ops.reduceMean || ["f32", "f16", "bf16"].includes(c.dtype))
            .map(({ shape, dtype, mask, keepDims }) =>
              caseOf(def, randomTensor(rng, dtype as DType, shape), {
                axes: shape.flatMap((_, i) => ((mask >> i) & 1 ? [i] : [])),
                keepDims,
              }),
            );
          expectRight(variant, def, samples);
        }),
        { numRuns: 2, seed: 5 },
      );
  });

  test("one program at every length: along rows, along columns, over everything", () => {
    const n = dim("n", { min: 0, max: 20_000 });
    for (const [def, axes] of [
      [ops.reduceSum, [1]],
      [ops.reduceMean, [0, 1]],
      [ops.reduceMax, [1]],
    ] as const) {
      using op = new SymbolicOp(backendOf(variant), def, [{ dtype: "f32", shape: [2, n] }], { axes }, 1);
      for (const length of [...lengths, 8192, 8193, 20_000])
        expect(op.wrong([randomTensor(rng, "f32", [2, length])], { n: length })).toEqual([]);
      using down = new SymbolicOp(backendOf(variant), def, [{ dtype: "f16", shape: [n, 3] }], { axes: [0] });
      for (const length of [0, 1, 31, 33, 1025, 5000])
        expect(down.wrong([randomTensor(rng, "f16", [length, 3])], { n: length })).toEqual([]);
    }
    expectNoFaults();
  });

  test("of so many elements that they are split, of eight axes, and columns by a thread each", () => {
    const samples = (def: AnyOpDef): Case[] =>
      (["f32", "i32", "i64"] as const)
        .filter((d) => def !== ops.reduceMean || d === "f32")
        .flatMap((d) => [
          caseOf(def, randomTensor(rng, d, [2, 17_000], 0.1), { axes: [1] }),
          caseOf(def, randomTensor(rng, d, [2, 2, 2, 2, 3, 2, 2, 3]), { axes: [0, 2, 4, 6] }),
          caseOf(def, randomTensor(rng, d, [3, 2100]), { axes: [0] }),
          caseOf(def, randomTensor(rng, d, [100, 2, 30]), { axes: [0, 2] }),
        ]);
    for (const def of reductions) expectRight(variant, def, samples(def));
  });

  test("NaN, infinities and zeros of both signs; integers wrap", () => {
    const values = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0, 0];
    for (const def of reductions)
      expectRight(
        variant,
        def,
        values.flatMap((v) =>
          [3, 70, 300].map((n) =>
            caseOf(def, Tensor.from("f32", [n], [v, ...new Array<number>(n - 1).fill(v === 0 ? -v : 1)]), { axes: [0] }),
          ),
        ),
      );
    const large = Tensor.zeros("i64", [300]);
    for (let i = 0; i < large.size; i++) large.setInt(i, 2n ** 62n + BigInt(i * 12345));
    for (const def of [ops.reduceSum, ops.reduceProd, ops.reduceMax, ops.reduceMin])
      expectRight(variant, def, [caseOf(def, large, { axes: [0] }), caseOf(def, Tensor.from("i8", [3], [127, 127, 2]), { axes: [0] })]);
    const [max] = resultsOf(backendOf(variant), ops.reduceMax, [caseOf(ops.reduceMax, Tensor.from("f32", [2], [-0, 0]), { axes: [0] })]);
    const [min] = resultsOf(backendOf(variant), ops.reduceMin, [caseOf(ops.reduceMin, Tensor.from("f32", [2], [0, -0]), { axes: [0] })]);
    expect([max?.get(0), min?.get(0)]).toEqual([0, -0]);
  });
});
