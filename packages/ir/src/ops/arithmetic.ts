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
const everyPair = (d: DType, values: readonly (number | bigint)[]) => ({
  a: Tensor.from(d, [values.length, 1], values),
  b: Tensor.from(d, [values.length], values),
});

const binary = <const N extends string>(name: N, doc: string, expr: (s: ScalarBuilder, a: Reg, b: Reg) => Reg, commutative = false) =>
  defineElementwise({
    name,
    doc,
    inputs: [input("a", "numeric"), input("b", "numeric")],
    traits: { commutative },
    dtype: sameOperands(name),
    expr: (s, [a = 0, b = 0]) => expr(s, a, b),
    samples: (rng) => [
      ...numericDTypes.flatMap((d) => [
        ...binaryShapes.map(([a, b]) => ({ inputs: { a: randomTensor(rng, d, a), b: randomTensor(rng, d, b) } })),
        { inputs: everyPair(d, isFloat(d) ? floatEdges : intEdges(d)) },
      ]),
    ],
  });

export const add = binary("add", "a + b.", (s, a, b) => s.add(a, b), true);
export const sub = binary("sub", "a - b.", (s, a, b) => s.sub(a, b));
export const mul = binary("mul", "a * b.", (s, a, b) => s.mul(a, b), true);
export const div = binary("div", "a / b; integers truncate, and give 0 for a zero divisor.", (s, a, b) => s.div(a, b));
export const rem = binary("rem", "a - b trunc(a / b): the sign of a; integers give 0 for a zero divisor.", (s, a, b) => s.rem(a, b));
export const maximum = binary("maximum", "The larger one; NaN if one is NaN.", (s, a, b) => s.max(a, b), true);
export const minimum = binary("minimum", "The smaller one; NaN if one is NaN.", (s, a, b) => s.min(a, b), true);

export const pow = defineElementwise({
  name: "pow",
  doc: "a^b, as JavaScript has it: NaN (where C has 1) for 1^NaN and for 1 or -1 to an infinite power.",
  inputs: [input("a", "float"), input("b", "float")],
  dtype: sameOperands("pow"),
  expr: (s, [a = 0, b = 0]) => s.pow(a, b),
  samples: (rng) =>
    floatDTypes.flatMap((d) => [
      ...binaryShapes.map(([a, b]) => ({ inputs: { a: randomTensor(rng, d, a), b: randomTensor(rng, d, b) } })),
      { inputs: { a: Tensor.from(d, [6], [0, 2, -2, 9, 0.5, -3]), b: Tensor.from(d, [6], [0, 10, 3, 0.5, -2, -1]) } },
    ]),
});
