import { type DType, isFloat } from "../dtype.ts";
import { defineElementwise } from "../elementwise.ts";
import { input } from "../op.ts";
import { binaryShapes, floatDTypes, numericDTypes, randomTensor } from "../samples.ts";
import type { Reg, ScalarBuilder } from "../scalar.ts";
import { sameOperands } from "../shape.ts";
import { intRange, Tensor } from "../tensor.ts";

const floatEdges = [0, -0, 1, -2.5, 60000, Infinity, -Infinity, NaN];
/** What wraps, and what traps in C: the extremes, zero and -1 (the largest number when unsigned). */
function intEdges(d: DType): readonly bigint[] {
  const { min, max } = intRange(d);
  return [min, min + 1n, -1n, 0n, 1n, 7n, max - 1n, max];
}

/** Every value with every other, by broadcasting. */
const everyPair = (d: DType, values: readonly (number | bigint)[], others = values) => ({
  a: Tensor.from(d, [values.length, 1], values),
  b: Tensor.from(d, [others.length], others),
});

interface More {
  readonly commutative?: boolean;
  /** Pairs of f32 that only this op finds hard. */
  readonly hard?: readonly [a: readonly number[], b: readonly number[]];
}
const binary = <const N extends string>(name: N, doc: string, expr: (s: ScalarBuilder, a: Reg, b: Reg) => Reg, more: More = {}) =>
  defineElementwise({
    name,
    doc,
    inputs: [input("a", "numeric"), input("b", "numeric")],
    traits: { commutative: more.commutative ?? false },
    dtype: sameOperands(name),
    expr: (s, [a = 0, b = 0]) => expr(s, a, b),
    samples: (rng) => [
      ...numericDTypes.flatMap((d) => [
        ...binaryShapes.map(([a, b]) => ({ inputs: { a: randomTensor(rng, d, a), b: randomTensor(rng, d, b) } })),
        { inputs: everyPair(d, isFloat(d) ? floatEdges : intEdges(d)) },
      ]),
      ...(more.hard ? [{ inputs: everyPair("f32", ...more.hard) }] : []),
    ],
  });

export const add = binary("add", "a + b.", (s, a, b) => s.add(a, b), { commutative: true });
export const sub = binary("sub", "a - b.", (s, a, b) => s.sub(a, b));
export const mul = binary("mul", "a * b.", (s, a, b) => s.mul(a, b), { commutative: true });
export const div = binary("div", "a / b; integers truncate, and give 0 for a zero divisor.", (s, a, b) => s.div(a, b));
export const rem = binary("rem", "a - b trunc(a / b): the sign of a; integers give 0 for a zero divisor.", (s, a, b) => s.rem(a, b), {
  // About the smallest normal number; quotients of many digits, also where a rest is one unit in the last place.
  hard: [
    [1e-30, -2.3e-38, 3.2e-38, 12582914, -3221225984, 3e38],
    [1.8e-38, 2 ** -126, -2.9e-38, 12582913, 0.1],
  ],
});
export const maximum = binary("maximum", "The larger one; NaN if one is NaN.", (s, a, b) => s.max(a, b), { commutative: true });
export const minimum = binary("minimum", "The smaller one; NaN if one is NaN.", (s, a, b) => s.min(a, b), { commutative: true });

export const pow = defineElementwise({
  name: "pow",
  doc: "a^b, as JavaScript has it: NaN (where C has 1) for 1^NaN and for 1 or -1 to an infinite power.",
  inputs: [input("a", "float"), input("b", "float")],
  dtype: sameOperands("pow"),
  expr: (s, [a = 0, b = 0]) => s.pow(a, b),
  samples: (rng) => [
    ...floatDTypes.flatMap((d) => [
      ...binaryShapes.map(([a, b]) => ({ inputs: { a: randomTensor(rng, d, a), b: randomTensor(rng, d, b) } })),
      { inputs: { a: Tensor.from(d, [6], [0, 2, -2, 9, 0.5, -3]), b: Tensor.from(d, [6], [0, 10, 3, 0.5, -2, -1]) } },
      { inputs: everyPair(d, [0, -0, 0.5, -0.5, 1, -1, 1.5, 2, -2, 3, Infinity, -Infinity, NaN]) },
    ]),
    // Large exponents enlarge what is lost of the logarithm.
    { inputs: everyPair("f32", [1.3, 0.7, 1.99, 0.52, 1.41, 1.0001, 17, 1e30], [77.25, -77.5, 120, -1e-3, 600, -600, 20000, 16777215]) },
  ],
});
