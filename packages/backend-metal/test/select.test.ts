import { type AnyOpDef, type DType, dim, ops, Rng, randomTensor, Tensor } from "@rlxjs/ir";
import { expect, test } from "vitest";
import { caseOf, expectRight } from "./op-cases.ts";
import { lengths, SymbolicOp } from "./symbolic-op.ts";
import { backendOf, describeVariants, expectNoFaults } from "./variants.ts";

const rng = new Rng(23);

/** Few different values, so that many are equal; NaN, infinities and both zeros among those of floats. */
function tied(dtype: DType, shape: readonly number[]): Tensor {
  const x = randomTensor(rng, dtype, shape);
  const special = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, -0];
  const float = dtype === "f32" || dtype === "f16" || dtype === "bf16" || dtype === "f64";
  for (let i = 0; i < x.size; i++)
    x.set(i, float && rng.int(0, 9) === 0 ? (special[rng.int(0, 4)] ?? 0) : Math.abs(Math.round(x.get(i)) % 3));
  return x;
}
const dtypes = ["f32", "f16", "bf16", "f64", "i8", "u8", "i16", "i32", "u32", "i64"] as const;
const selecting: readonly AnyOpDef[] = [ops.argmax, ops.argmin];

/** Beyond one threadgroup: rows are split. */
const vocabulary = 20_000;

describeVariants("selection", (variant) => {
  test("argmax and argmin: one program at every length, ties and NaN", () => {
    const n = dim("n", { min: 1, max: vocabulary });
    for (const def of selecting) {
      using op = new SymbolicOp(backendOf(variant), def, [{ dtype: "f16", shape: [2, n] }], {}, 1);
      for (const length of [...lengths.filter((l) => l > 0), 8191, 8192, 8193, vocabulary])
        expect(op.wrong([tied("f16", [2, length])], { n: length })).toEqual([]);
    }
    expectNoFaults();
  });

  test("argmax and argmin of every dtype, along every axis", () => {
    for (const def of selecting)
      expectRight(
        variant,
        def,
        dtypes.flatMap((d) => [
          caseOf(def, tied(d, [5, 257])),
          caseOf(def, tied(d, [3, 70, 5]), { axis: 1 }),
          caseOf(def, tied(d, [3, 2100]), { axis: 0 }),
        ]),
      );
  });

  test("argmax and argmin of rows that are split, where all are equal and where the last one wins", () => {
    for (const def of selecting)
      expectRight(
        variant,
        def,
        (["f32", "i64"] as const).flatMap((d) => {
          const last = Tensor.zeros(d, [1, 17_000]);
          last.set(16_999, def === ops.argmax ? 1 : -1);
          return [caseOf(def, last), caseOf(def, Tensor.zeros(d, [1, 16_384]))];
        }),
      );
  });

  test("argmax along an axis between others, in parts", () => {
    const x = Tensor.zeros("f32", [2, 16_390, 3]);
    for (const [lane, at] of [16_389, 8191, 8192, 0, 9000, 16_383].entries())
      x.set((Math.floor(lane / 3) * 16_390 + at) * 3 + (lane % 3), 1);
    expectRight(variant, ops.argmax, [caseOf(ops.argmax, x, { axis: 1 })]);
  });

  test("topk: one program at every length, ties and NaN", () => {
    const n = dim("n", { min: 5, max: vocabulary });
    using op = new SymbolicOp(backendOf(variant), ops.topk, [{ dtype: "bf16", shape: [2, n] }], { k: 5 }, 1);
    for (const length of [...lengths.filter((l) => l >= 5), 8191, 8192, 8193, 8196, vocabulary])
      expect(op.wrong([tied("bf16", [2, length])], { n: length })).toEqual([]);
    expectNoFaults();
  });

  test("topk of every dtype, up to 256, also where all are equal", () => {
    const of = (x: Tensor, k: number) => caseOf(ops.topk, x, { k });
    expectRight(variant, ops.topk, [
      ...dtypes.flatMap((d) => [of(tied(d, [1, 700]), 256), of(randomTensor(rng, d, [3, 256]), 256), of(randomTensor(rng, d, [33]), 32)]),
      of(Tensor.zeros("f32", [1, 3000]), 256),
      of(Tensor.zeros("i64", [2, 300]), 1),
      of(randomTensor(rng, "f32", [1, vocabulary]), 256),
      of(Tensor.from("i64", [5], [3, 2 ** 40, -(2 ** 40), 2 ** 40 + 1, -1]), 3),
    ]);
  });

  test("moe_route up to 2048 experts", () => {
    const samples = (["softmax", "sigmoid"] as const).flatMap((scoring) =>
      [true, false].flatMap((normalize) =>
        (
          [
            ["f32", 3, 128, 8],
            ["bf16", 1, 300, 256],
            ["f16", 5, 33, 33],
            ["f32", 4, 7, 1],
          ] as const
        ).map(([d, tokens, experts, k]) => caseOf(ops.moeRoute, randomTensor(rng, d, [tokens, experts], 3), { k, scoring, normalize })),
      ),
    );
    expectRight(variant, ops.moeRoute, [
      ...samples,
      caseOf(ops.moeRoute, randomTensor(rng, "f32", [1, 2048]), { k: 8 }),
      caseOf(ops.moeRoute, Tensor.from("f32", [1, 3], [1, Number.NaN, 2]), { k: 2 }),
    ]);
  });
});
