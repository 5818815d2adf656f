import { type DType, isFloat } from "@rlxjs/ir";
import { any, constant, is, op } from "./pattern.ts";
import { rule } from "./rules.ts";

// Only what holds for every float, bit for bit: NaN, infinities, -0 and rounding included (a NaN may change its payload). That
// excludes x + 0 (-0 + 0 is 0), x * 0 and x - x (NaN, infinities), and every reordering of sums and products.

const x = any("x");
const y = any("y");
const isPowerOfTwo = (v: number): boolean => v !== 0 && Number.isFinite(v) && Number.isInteger(Math.log2(Math.abs(v)));
/** Smallest exponent of a normal number. */
const minExponent = (d: DType): number => (d === "f64" ? -1022 : d === "f16" ? -14 : -126);

export const algebraRules = [
  rule("x * 1", op("mul", x, is(1)), (v) => v.x), // = x
  rule("x * -1", op("mul", x, is(-1)), (v, { g }) => g.neg(v.x)), // = -x
  rule("x / 1", op("div", x, is(1)), (v) => v.x), // = x
  rule("x + -0", op("add", x, is(-0)), (v) => v.x), // = x, also for x = 0 and x = -0
  rule("x + 0 on integers", op("add", x, is(0)), (v) => (isFloat(v.x.dtype) ? undefined : v.x)), // = x
  rule("x - 0", op("sub", x, is(0)), (v) => v.x), // = x, also for x = -0
  rule("--x", op("neg", op("neg", x)), (v) => v.x), // = x
  rule("x + -y", op("add", x, op("neg", y)), (v, { g }) => g.sub(v.x, v.y)), // = x - y
  rule("x - -y", op("sub", x, op("neg", y)), (v, { g }) => g.add(v.x, v.y)), // = x + y
  rule("x * x", op("mul", x, x), (v, { g }) => g.square(v.x)), // = x^2
  rule("x ^ 1", op("pow", x, is(1)), (v) => v.x), // = x
  rule(
    "x / 2^n", // = x * 2^-n, while 2^-n is a normal number
    op("div", x, constant("c", isPowerOfTwo)),
    (v, { g, view }, { values }) => {
      const c = view.splat(values.c);
      if (c === undefined || !isFloat(v.x.dtype)) return undefined;
      const exponent = -Math.log2(Math.abs(c));
      if (exponent < minExponent(v.x.dtype) || exponent >= -minExponent(v.x.dtype)) return undefined;
      const reciprocal = g.constant(1 / c, v.x.dtype);
      return g.mul(v.x, v.c.shape.length === 0 ? reciprocal : g.expand(reciprocal, { shape: v.c.shape }));
    },
  ),
  rule("||x||", op("abs", op("abs", x)), (v, { g }) => g.abs(v.x)), // = |x|
  rule("|-x|", op("abs", op("neg", x)), (v, { g }) => g.abs(v.x)), // = |x|
  rule("relu of relu", op("relu", op("relu", x)), (v, { g }) => g.relu(v.x)), // = relu(x)
  rule("max(x, x)", op("maximum", x, x), (v) => v.x), // = x, also for NaN
  rule("min(x, x)", op("minimum", x, x), (v) => v.x), // = x, also for NaN
  rule("not not b", op("logical_not", op("logical_not", x)), (v) => v.x), // = b
  rule("b and b", op("logical_and", x, x), (v) => v.x), // = b
  rule("b or b", op("logical_or", x, x), (v) => v.x), // = b
  rule("where(c, y, y)", op("where", x, y, y), (v) => v.y), // = y, when c does not broadcast it
  rule("where(not c, x, y)", op("where", op("logical_not", any("c")), x, y), (v, { g }) => g.where(v.c, v.y, v.x)), // = where(c, y, x)
];
