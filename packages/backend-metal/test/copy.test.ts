import {
  type AnyOpDef,
  type AttrRecord,
  type DType,
  dim,
  evalShape,
  isBlock,
  mulDims,
  ops,
  Rng,
  randomTensor,
  type TensorType,
} from "@rlxjs/ir";
import fc from "fast-check";
import { expect, test } from "vitest";
import { caseOf, expectRight } from "./op-cases.ts";
import { lengths, SymbolicOp } from "./symbolic-op.ts";
import { backendOf, describeVariants, expectNoFaults, type Variant } from "./variants.ts";

const rng = new Rng(31);
const n = dim("n", { min: 0, max: 5000 });

/** An op whose operands begin `shift` elements behind the beginning of their buffers, at values of n, in one program. */
function expectRightAt(
  variant: Variant,
  def: AnyOpDef,
  types: readonly TensorType[],
  attrs: AttrRecord,
  values: readonly number[],
  shift = 0,
): void {
  using op = new SymbolicOp(backendOf(variant), def, types, attrs, shift);
  for (const value of values) {
    const extents = { n: value };
    const slots = types.map(({ dtype, shape }) => randomTensor(rng, dtype, evalShape(shape, extents)));
    expect(op.wrong(slots, extents)).toEqual([]);
  }
  expectNoFaults();
}

/** Elements of 1, 2, 4 and 8 bytes, and blocks of 34 along the last axis. */
const dtypes = ["bool", "f16", "i32", "f64", "q8_0"] as const;
const random = (dtype: DType, shape: readonly number[]) =>
  randomTensor(
    rng,
    dtype,
    shape.map((d, i) => (isBlock(dtype) && i === shape.length - 1 ? d * 32 : d)),
  );
/** Axes 0 to `rank` - 1 in any order; the last one stays where blocks lie along it. */
const permutations = (dtype: DType, rank: number): fc.Arbitrary<number[]> => {
  const free = Array.from({ length: isBlock(dtype) ? rank - 1 : rank }, (_, i) => i);
  const kept = isBlock(dtype) ? [rank - 1] : [];
  return fc.shuffledSubarray(free, { minLength: free.length, maxLength: free.length }).map((list) => [...list, ...kept]);
};
const shapes = fc
  .array(fc.constantFrom<number>(1, 2, 3, 5, 17, 33, 40), { minLength: 1, maxLength: 6 })
  .filter((shape) => shape.reduce((a, b) => a * b, 1) <= 6000);
const many = { minLength: 25, maxLength: 25 };
const seeded = { numRuns: 2, seed: 3 };

describeVariants("copies", (variant) => {
  test("any number of bytes, from any place", () => {
    for (const [dtype, shift] of [
      ["u8", 0],
      ["u8", 1],
      ["f16", 1],
      ["f32", 2],
      ["i64", 1],
      ["f32", 4],
    ] as const)
      expectRightAt(variant, ops.reshape, [{ dtype, shape: [n] }], { shape: [1, n] }, lengths, shift);
  });

  test("transposes of random shapes and orders of axes", () => {
    const choice = fc
      .tuple(fc.constantFrom(...dtypes), shapes)
      .chain(([dtype, shape]) => permutations(dtype, shape.length).map((perm) => ({ dtype, shape, perm })));
    fc.assert(
      fc.property(fc.array(choice, many), (choices) =>
        expectRight(
          variant,
          ops.transpose,
          choices.map(({ dtype, shape, perm }) => caseOf(ops.transpose, random(dtype, shape), { perm })),
        ),
      ),
      seeded,
    );
    expectRight(variant, ops.transpose, [
      caseOf(ops.transpose, random("f32", [2, 2, 1, 3, 2, 2, 2, 3]), { perm: [7, 2, 5, 0, 6, 1, 4, 3] }),
    ]);
  });

  test("transposes by tiles: sides around their size, behind and between other axes", () => {
    const sides = [15, 16, 31, 32, 33, 64, 65];
    for (const dtype of ["u8", "bf16", "f32", "i64"] as const) {
      const known = sides.map((side) => caseOf(ops.transpose, random(dtype, [side, 97 - side]), { perm: [1, 0] }));
      const between = caseOf(ops.transpose, random(dtype, [2, 33, 3, 40]), { perm: [3, 0, 2, 1] });
      expectRight(variant, ops.transpose, [...known, between]);
      expectRightAt(variant, ops.transpose, [{ dtype, shape: [2, n, 35] }], { perm: [0, 2, 1] }, [0, 1, 31, 32, 33, 100], 1);
    }
  });

  test("expand, slice, concat and pad of random shapes", () => {
    const cut = fc.tuple(fc.constantFrom(...dtypes), shapes, fc.nat(5), fc.nat(40), fc.nat(40), fc.nat(63));
    fc.assert(
      fc.property(fc.array(cut, many), (choices) => {
        const cases = choices.map(([dtype, shape, a, from, count, mask]) => {
          const axis = a % shape.length;
          const unit = isBlock(dtype) && axis === shape.length - 1 ? 32 : 1;
          const length = shape[axis] ?? 1;
          const start = from % (length + 1);
          const size = count % (length - start + 1);
          const other = random(dtype, shape.with(axis, 1 + (count % 3)));
          const x = random(dtype, shape);
          const narrow = shape.map((d, i) => ((mask >> i) & 1 && !(isBlock(dtype) && i === shape.length - 1) ? 1 : d));
          const margins = shape.map((_, i) => (mask >> i) & 3);
          return {
            slice: caseOf(ops.slice, x, { axis, start: start * unit, size: size * unit }),
            concat: caseOf(ops.concat, [x, other, x], { axis }),
            expand: caseOf(ops.expand, random(dtype, narrow), { shape: [2, ...x.shape] }),
            pad: caseOf(ops.pad, x, { before: margins, after: margins.toReversed(), value: 1 }),
          };
        });
        expectRight(
          variant,
          ops.slice,
          cases.map((c) => c.slice),
        );
        expectRight(
          variant,
          ops.concat,
          cases.map((c) => c.concat),
        );
        expectRight(
          variant,
          ops.expand,
          cases.filter((c) => (c.expand.slots[0]?.shape.length ?? 0) < 8).map((c) => c.expand),
        );
        expectRight(
          variant,
          ops.pad,
          cases.filter((_, i) => choices[i]?.[0] !== "q8_0").map((c) => c.pad),
        );
      }),
      seeded,
    );
  });

  test("extents that follow n: starts, sizes, sums, margins", () => {
    const values = [0, 1, 2, 31, 33, 256, 1025];
    const twice = mulDims(n, 2);
    for (const shift of [0, 1]) {
      expectRightAt(variant, ops.slice, [{ dtype: "f16", shape: [3, twice] }], { axis: 1, start: n, size: n }, values, shift);
      expectRightAt(variant, ops.slice, [{ dtype: "f16", shape: [3, twice, 8] }], { axis: 1, start: n, size: n }, values, shift);
      expectRightAt(
        variant,
        ops.concat,
        [
          [3, n],
          [3, 5],
          [3, twice],
        ].map((shape) => ({ dtype: "f32", shape })),
        { axis: 1 },
        values,
        shift,
      );
      expectRightAt(
        variant,
        ops.concat,
        [
          [n, 3],
          [4, 3],
          [n, 3],
        ].map((shape) => ({ dtype: "u8", shape })),
        { axis: 0 },
        values,
        shift,
      );
      expectRightAt(variant, ops.expand, [{ dtype: "bf16", shape: [n, 1, 3] }], { shape: [2, n, 4, 3] }, values, shift);
      expectRightAt(variant, ops.pad, [{ dtype: "i64", shape: [2, n] }], { before: [1, 2], after: [0, 3], value: -7 }, values, shift);
    }
    expectRightAt(variant, ops.iota, [], { shape: [3, n, 2], axis: 1, dtype: "f16" }, values);
    expectRightAt(variant, ops.iota, [], { shape: [n], dtype: "i64" }, [...values, 5000]);
  });
});
