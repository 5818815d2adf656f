import type { DType } from "../dtype.ts";
import { defineElementwise } from "../elementwise.ts";
import { input } from "../op.ts";
import type { Rng } from "../rng.ts";
import { floatDTypes, numericDTypes, randomTensor, unaryShapes } from "../samples.ts";
import type { Reg, ScalarBuilder } from "../scalar.ts";
import { Tensor } from "../tensor.ts";

type Expr = (s: ScalarBuilder, x: Reg) => Reg;
const first = ([d = "f32"]: readonly DType[]): DType => d;

/** Values where functions change their shape: zeros of both signs, infinities, NaN, ties, large arguments. */
const special = [0, -0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, 1e-30, 12, -12, 60, -60, 1e5, Infinity, -Infinity, NaN];

const floatSamples =
  (edge: readonly number[] = special) =>
  (rng: Rng) =>
    floatDTypes.flatMap((d) => [
      ...unaryShapes.map((shape) => ({ inputs: { x: randomTensor(rng, d, shape) } })),
      { inputs: { x: Tensor.from(d, [edge.length], edge) } },
    ]);

const unary = <const N extends string>(name: N, doc: string, expr: Expr, edge?: readonly number[]) =>
  defineElementwise({
    name,
    doc,
    inputs: [input("x", "float")],
    dtype: first,
    expr: (s, [x = 0]) => expr(s, x),
    samples: floatSamples(edge),
  });

const numeric = <const N extends string>(name: N, doc: string, expr: Expr) =>
  defineElementwise({
    name,
    doc,
    inputs: [input("x", "numeric")],
    dtype: first,
    expr: (s, [x = 0]) => expr(s, x),
    samples: (rng) =>
      numericDTypes.flatMap((d) => [
        ...unaryShapes.map((shape) => ({ inputs: { x: randomTensor(rng, d, shape) } })),
        { inputs: { x: Tensor.from(d, [special.length], special) } },
        { inputs: { x: Tensor.from(d, [2], [-1e30, 1e30]) } }, // integers: the extremes
      ]),
  });

/** Trigonometry on arguments that a float can hold with a meaningful phase. */
const angles = special.filter((v) => !(Math.abs(v) > 100) || !Number.isFinite(v));

export const exp = unary("exp", "e^x.", (s, x) => s.exp(x));
export const log = unary("log", "Natural logarithm.", (s, x) => s.log(x));
export const sqrt = unary("sqrt", "Square root.", (s, x) => s.sqrt(x));
export const rsqrt = unary("rsqrt", "1 / sqrt(x).", (s, x) => s.rsqrt(x));
export const recip = unary("recip", "1 / x.", (s, x) => s.div(s.c(1), x));
export const sin = unary("sin", "Sine.", (s, x) => s.sin(x), angles);
export const cos = unary("cos", "Cosine.", (s, x) => s.cos(x), angles);
export const tan = unary("tan", "Tangent.", (s, x) => s.tan(x), angles);
export const atan = unary("atan", "Arc tangent.", (s, x) => s.atan(x));
export const tanh = unary("tanh", "Hyperbolic tangent.", (s, x) => s.tanh(x));
export const erf = unary("erf", "Error function.", (s, x) => s.erf(x));
export const sigmoid = unary("sigmoid", "1 / (1 + e^-x).", (s, x) => s.sigmoid(x));
export const floor = unary("floor", "Largest integer that is at most x.", (s, x) => s.floor(x));
export const ceil = unary("ceil", "Smallest integer that is at least x.", (s, x) => s.ceil(x));
export const round = unary("round", "Nearest integer, ties to even.", (s, x) => s.round(x));
export const trunc = unary("trunc", "x without its fraction.", (s, x) => s.trunc(x));

export const neg = numeric("neg", "-x; integers wrap.", (s, x) => s.neg(x));
export const abs = numeric("abs", "|x|; integers wrap.", (s, x) => s.abs(x));
export const sign = numeric("sign", "-1, 0 or 1.", (s, x) => s.sign(x));
export const square = numeric("square", "x^2; integers wrap.", (s, x) => s.mul(x, x));
export const relu = numeric("relu", "max(x, 0).", (s, x) => s.max(x, s.c(0)));

export const logicalNot = defineElementwise({
  name: "logical_not",
  doc: "not x.",
  inputs: [input("x", "bool")],
  dtype: () => "bool",
  expr: (s, [x = 0]) => s.not(x),
  samples: (rng) => unaryShapes.map((shape) => ({ inputs: { x: randomTensor(rng, "bool", shape) } })),
});
