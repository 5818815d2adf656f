import { AttrError, fwht, fwhtThenSign, hadamardMatrix, hadamardSigns, Rng, ShapeError, signThenFwht } from "@rlxjs/ir";
import fc from "fast-check";
import { describe, expect, test } from "vitest";

const vector = (n: number, seed = n): Float32Array => Float32Array.from(new Rng(seed).normals(n));
const dot = (a: Float32Array, b: Float32Array): number => a.reduce((sum, v, i) => sum + v * (b[i] ?? 0), 0);
const distance = (a: Float32Array, b: Float32Array): number => Math.max(...a.map((v, i) => Math.abs(v - (b[i] ?? 0))));
const run = (f: (x: Float32Array) => void, x: Float32Array): Float32Array => {
  const copy = x.slice();
  f(copy);
  return copy;
};

/** The unscaled transform by recursion over halves, each sum rounded to f32. */
function recursive(x: readonly number[]): number[] {
  if (x.length === 1) return [...x];
  const low = recursive(x.slice(0, x.length / 2));
  const high = recursive(x.slice(x.length / 2));
  return [...low.map((v, i) => Math.fround(v + (high[i] ?? 0))), ...low.map((v, i) => Math.fround(v - (high[i] ?? 0)))];
}

describe("fwht", () => {
  test("known values", () => {
    expect([...run(fwht, Float32Array.of(1, 2, 3, 4))]).toEqual([5, -1, -2, 0]);
    expect([...run(fwht, Float32Array.of(7))]).toEqual([7]);
  });

  test.each([2, 4, 8, 64, 128, 256, 512])("%i: the bits of a recursive f32 transform", (n) => {
    const x = vector(n);
    const expected = Float32Array.from(recursive([...x]), (v) => v * Math.fround(1 / Math.sqrt(n)));
    expect(run(fwht, x)).toEqual(expected);
  });

  test.each([64, 80, 96, 128, 256, 512])("%i: unit vectors give a symmetric +-1 matrix with orthogonal rows", (n) => {
    const rows = Array.from({ length: n }, (_, i) =>
      run(
        fwht,
        Float32Array.from({ length: n }, (_, j) => Number(i === j)),
      ),
    );
    const scale = Math.fround(1 / Math.sqrt(n));
    for (const [i, row] of rows.entries())
      for (const [j, v] of row.entries()) {
        if (Math.abs(v) !== scale || v !== rows[j]?.[i]) expect.fail(`entry ${i}, ${j} is ${v}`);
      }
    const signs = rows.map((row) => row.map(Math.sign));
    for (const [i, a] of signs.entries()) for (const b of signs.slice(0, i)) if (dot(a, b) !== 0) expect.fail(`row ${i} is not orthogonal`);
  });

  test("is its own inverse, and rows are independent", () => {
    fc.assert(
      fc.property(fc.constantFrom(1, 2, 12, 20, 64, 80, 96, 128, 256, 512), fc.nat({ max: 3 }), fc.nat(), (n, rows, seed) => {
        const x = vector(rows * n, seed);
        const once = run((v) => fwht(v, n), x);
        for (let r = 0; r < rows; r++) expect(once.slice(r * n, (r + 1) * n)).toEqual(run(fwht, x.slice(r * n, (r + 1) * n)));
        if (rows > 0)
          expect(
            distance(
              run((v) => fwht(v, n), once),
              x,
            ),
          ).toBeLessThan(2e-6);
      }),
    );
  });

  test("order 80 and 96: butterflies in runs, then the matrix across them", () => {
    for (const n of [80, 96]) {
      const matrix = hadamardMatrix(n);
      if (!matrix) throw new Error(`no matrix for ${n}`);
      const { order, entries } = matrix;
      const length = n / order;
      const x = vector(n);
      const runs = Array.from({ length: order }, (_, r) => recursive([...x.slice(r * length, (r + 1) * length)]));
      const expected = Float32Array.from({ length: n }, (_, at) => {
        const [r, i] = [Math.floor(at / length), at % length];
        const terms = runs.map((values, c) => (entries[r * order + c] ?? 0) * (values[i] ?? 0));
        return terms.reduce((sum, v) => Math.fround(sum + v)) * Math.fround(1 / Math.sqrt(n));
      });
      expect(run(fwht, x)).toEqual(expected);
    }
    expect(hadamardMatrix(128)).toBeUndefined();
  });

  test("errors, before anything is written", () => {
    const x = Float32Array.of(1, 2, 3, 4, 5);
    expect(() => fwht(x, 4)).toThrowErrorMatchingInlineSnapshot(`[ShapeError: [fwht] x: expected a multiple of headDim 4 values, got 5]`);
    expect(() => fwht(x)).toThrowErrorMatchingInlineSnapshot(
      `[AttrError: [fwht] headDim: expected a power of two, or 12 or 20 times one, got 5]`,
    );
    expect(() => fwht(new Float32Array(0))).toThrow(AttrError);
    expect(() => fwht(x, 2.5)).toThrow(AttrError);
    expect(() => signThenFwht(x, 4)).toThrow(ShapeError);
    expect([...x]).toEqual([1, 2, 3, 4, 5]);
    expect(() => signThenFwht(new Float32Array(1024))).toThrowErrorMatchingInlineSnapshot(
      `[AttrError: [sign_then_fwht] headDim: expected at most 512, the length of the sign diagonal, got 1024]`,
    );
    expect(() => fwhtThenSign(new Float32Array(1024), 100)).toThrow(AttrError);
    expect(() => hadamardSigns(520)).toThrowErrorMatchingInlineSnapshot(
      `[AttrError: [hadamard_signs] headDim: expected a multiple of 8 up to 512, got 520]`,
    );
  });
});

describe("rotations", () => {
  test.each([64, 80, 96, 128, 256, 512])("%i: sign then FWHT, FWHT then sign", (n) => {
    const signs = hadamardSigns(n);
    const flip = (x: Float32Array): Float32Array => x.map((v, j) => (((signs[j >> 3] ?? 0) >> (j & 7)) & 1 ? -v : v));
    const x = vector(n);
    expect(run(signThenFwht, x)).toEqual(run(fwht, flip(x)));
    expect(run(fwhtThenSign, x)).toEqual(flip(run(fwht, x)));
    expect(distance(run(fwhtThenSign, run(signThenFwht, x)), x)).toBeLessThan(2e-6);
  });

  test("inner products survive", () => {
    fc.assert(
      fc.property(fc.constantFrom(64, 80, 96, 128, 256, 512), fc.nat(), (n, seed) => {
        const [q, k] = [vector(n, seed), vector(n, seed + 1)];
        const norms = Math.sqrt(dot(q, q) * dot(k, k));
        expect(Math.abs(dot(run(signThenFwht, q), run(signThenFwht, k)) - dot(q, k)) / norms).toBeLessThan(1e-6);
      }),
    );
  });

  test("the first signs of the table: bits of a7 from the least significant on", () => {
    const signs = hadamardSigns(8)[0] ?? 0;
    expect(Array.from({ length: 8 }, (_, j) => (signs >> j) & 1)).toEqual([1, 1, 1, 0, 0, 1, 0, 1]);
  });

  test("one NaN or infinity reaches every element", () => {
    for (const [bad, ok] of [
      [Number.NaN, Number.isNaN],
      [Number.POSITIVE_INFINITY, (v: number) => Math.abs(v) === Number.POSITIVE_INFINITY],
    ] as const) {
      const x = vector(256);
      x[17] = bad;
      expect(run(signThenFwht, x).every(ok)).toBe(true);
    }
  });
});
