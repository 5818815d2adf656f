import { checkAttrs, dim, ops, Rng, randomTensor, Tensor } from "@rlxjs/ir";
import { afterEach, expect, test } from "vitest";
import { resultsOf } from "../../backend-cpu/test/one-op.ts";
import { exactAngle, halfUlp, nearMultiplesOfPi } from "./exact-angles.ts";
import { SymbolicOp } from "./symbolic-op.ts";
import { backendOf, describeOnMetal, expectNoFaults, strictest } from "./variants.ts";

/** Near odd multiples of pi / 4, where the series is longest, and their cosines or sines within 2^-43 of the middle of two f32: a small error shows. */
const besideTheMiddle = [
  1_074_636, 10_217_690, 13_475_663, 16_627_447, 19_730_153, 21_876_665, 22_921_664, 30_308_285, 32_212_164, 33_004_582, 41_827_145,
  43_383_047, 46_362_301, 47_064_249, 51_039_058, 54_776_017, 59_063_281, 65_642_863, 67_007_874, 71_688_302, 72_360_895, 79_180_036,
  83_900_645, 87_975_787, 88_807_863, 89_336_139, 92_996_949, 93_050_422, 95_135_095,
];

describeOnMetal("rotary embedding", () => {
  afterEach(expectNoFaults);

  test("angles of any position and frequency, rounded right but within 2^-45 of the middle of two f32, or 2^-64 turns", () => {
    const rng = new Rng(3);
    const usual = Array.from({ length: 51 }, (_, i) => Math.fround(10000 ** (-i / 51)));
    const others = [0, -0, 1, -1, 0.5, Math.PI, 1e-30, 2 ** -149, -(2 ** -130), 3e4, 1e9, 1e20, 3.4e38].map(Math.fround);
    const frequencies = [...others, ...usual];
    const exact = [0, 1, -1, 3, 100, 2 ** 24 + 1, 2 ** 31, -(2 ** 40) - 7, 2 ** 52 + 1, -(2 ** 53) + 1];
    const random = Array.from({ length: 20 }, () => rng.int(-(2 ** 31), 2 ** 31 - 1));
    const all = [
      ...[...exact, ...random, ...besideTheMiddle].map(BigInt),
      ...nearMultiplesOfPi(2 ** 53).map((p, i) => (i % 4 < 2 ? p : -p)),
      ...[2n ** 63n - 1n, -(2n ** 63n)],
    ];
    const positions = Tensor.zeros("i64", [all.length]);
    for (const [i, p] of all.entries()) positions.setInt(i, p);
    const slots = [positions, Tensor.from("f32", [frequencies.length], frequencies)];
    const scales = [1, -0.5, 1.2079441541679836];
    const samples = scales.map((scale) => ({ name: `${scale}`, slots, attrs: checkAttrs(ops.ropeTable, { scale }) }));
    const results = resultsOf(backendOf(strictest), ops.ropeTable, samples);
    const wrong: string[] = [];
    for (const [row, position] of all.entries())
      for (const [column, frequency] of frequencies.entries())
        for (const [k, value] of exactAngle(position, frequency).entries())
          for (const [s, scale] of scales.entries()) {
            const expected = value * scale;
            const got = results[2 * s + k]?.get(row * frequencies.length + column) ?? Number.NaN;
            const turns = position === 0n || frequency === 0 ? 0 : 2 ** -64 * 2 * Math.PI * Math.abs(scale);
            if (!(Math.abs(got - expected) <= halfUlp(expected) + 2 ** -45 * Math.abs(expected) + turns))
              wrong.push(`${["cos", "sin"][k]}(${position} * ${frequency}) * ${scale}: ${got}, expected ${expected}`);
          }
    expect(wrong).toEqual([]);
  });

  test("frequencies that are no numbers", () => {
    const slots = [Tensor.from("i32", [2], [0, 5]), Tensor.from("f32", [2], [Number.NaN, Number.POSITIVE_INFINITY])];
    const results = resultsOf(backendOf(strictest), ops.ropeTable, [{ name: "none", slots, attrs: checkAttrs(ops.ropeTable, {}) }]);
    expect(results.flatMap((t) => t.toArray())).toEqual(new Array<number>(8).fill(Number.NaN));
  });

  test.each([
    ["f32", "f32", 0],
    ["f16", "f32", 1],
    ["bf16", "f16", 3],
  ] as const)("%s by tables of %s, any number of tokens, part of a head, operands at odd places", (dtype, table, shift) => {
    const seq = dim("seq", { min: 0, max: 9 });
    for (const [heads, headDim, half, interleaved] of [
      [5, 12, 4, false],
      [1, 9, 3, true],
      [3, 80, 40, true],
    ] as const) {
      const types = [{ dtype, shape: [2, seq, heads * headDim] }, ...[0, 1].map(() => ({ dtype: table, shape: [seq, half] }))];
      using op = new SymbolicOp(backendOf(strictest), ops.rope, types, { headDim, interleaved }, shift);
      for (const tokens of [9, 0, 1, 4]) {
        const rng = new Rng(tokens);
        const slots = [
          randomTensor(rng, dtype, [2, tokens, heads * headDim]),
          ...[0, 1].map(() => randomTensor(rng, table, [tokens, half])),
        ];
        expect(op.wrong(slots, { seq: tokens })).toEqual([]);
      }
    }
  });
});
