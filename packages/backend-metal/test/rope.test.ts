import { checkAttrs, dim, ops, Rng, randomTensor, Tensor } from "@rlxjs/ir";
import { afterEach, expect, test } from "vitest";
import { resultsOf, wrongResults } from "../../backend-cpu/test/one-op.ts";
import { SymbolicOp } from "./symbolic-op.ts";
import { backendOf, describeOnMetal, expectNoFaults, strictest } from "./variants.ts";

describeOnMetal("rotary embedding", () => {
  afterEach(expectNoFaults);

  test("angles of any position and frequency are those of f64", () => {
    const rng = new Rng(3);
    const exact = [0, 1, -1, 3, 100, 2 ** 24 + 1, 2 ** 31, -(2 ** 40) - 7, 2 ** 52 + 1, -(2 ** 53) + 1];
    const positions = Tensor.from("i64", [60], [...exact, ...Array.from({ length: 50 }, () => rng.int(-(2 ** 31), 2 ** 31 - 1))]);
    const frequencies = [
      0,
      -0,
      1,
      -1,
      0.5,
      Math.PI,
      1e-30,
      2 ** -149,
      -(2 ** -130),
      3e4,
      1e9,
      ...Array.from({ length: 53 }, (_, i) => 10000 ** (-i / 53)),
    ];
    const slots = [positions, Tensor.from("f32", [64], frequencies)];
    const samples = [1, -0.5, 1.2079441541679836].map((scale) => ({
      name: `${scale}`,
      slots,
      attrs: checkAttrs(ops.ropeTable, { scale }),
    }));
    const results = resultsOf(backendOf(strictest), ops.ropeTable, samples);
    expect(wrongResults(ops.ropeTable, samples, results)).toEqual([]);
    // What f64 gives, but for results that lie close to the middle of two f32.
    const scaled = positions.toArray().flatMap((p) => frequencies.map((f) => Math.fround(Math.cos(p * Math.fround(f)))));
    const same = scaled.filter((c, i) => Math.abs(positions.get(Math.floor(i / 64))) > 2 ** 28 || c === results[0]?.get(i));
    expect(same.length).toBeGreaterThan(0.999 * scaled.length);
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
