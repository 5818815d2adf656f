import { defineElementwise } from "../elementwise.ts";
import { input } from "../op.ts";
import { binaryShapes, floatDTypes, randomTensor, unaryShapes } from "../samples.ts";
import type { Reg, ScalarBuilder } from "../scalar.ts";
import { sameOperands } from "../shape.ts";
import { Tensor } from "../tensor.ts";

/** x (1 + erf(x / sqrt 2)) / 2 */
const geluOf = (s: ScalarBuilder, x: Reg): Reg => s.mul(s.mul(s.c(0.5), x), s.add(s.c(1), s.erf(s.mul(x, s.c(Math.SQRT1_2)))));
/** x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2, written as x sigmoid(2 ...), which has no cancellation for x < 0. */
const geluTanhOf = (s: ScalarBuilder, x: Reg): Reg => {
  const inner = s.mul(x, s.add(s.c(1), s.mul(s.c(0.044715), s.mul(x, x))));
  return s.mul(x, s.sigmoid(s.mul(s.c(2 * Math.sqrt(2 / Math.PI)), inner)));
};
const siluOf = (s: ScalarBuilder, x: Reg): Reg => s.mul(x, s.sigmoid(x));
/** max(x, 0) + log1p(e^-|x|), with Kahan's log1p(e) = e log(u) / (u - 1), u = 1 + e. */
const softplusOf = (s: ScalarBuilder, x: Reg): Reg => {
  const e = s.exp(s.neg(s.abs(x)));
  const u = s.add(s.c(1), e);
  const d = s.sub(u, s.c(1));
  const log1p = s.select(s.eq(d, s.c(0)), e, s.mul(e, s.div(s.log(u), d)));
  return s.add(s.max(x, s.c(0)), log1p);
};

const activation = <const N extends string>(name: N, doc: string, expr: (s: ScalarBuilder, x: Reg) => Reg) =>
  defineElementwise({
    name,
    doc,
    inputs: [input("x", "float")],
    dtype: ([d = "f32"]) => d,
    expr: (s, [x = 0]) => expr(s, x),
    samples: (rng) =>
      floatDTypes.flatMap((d) => [
        ...unaryShapes.map((shape) => ({ inputs: { x: randomTensor(rng, d, shape, 3) } })),
        { inputs: { x: Tensor.from(d, [9], [0, -0, 8, -8, 30, -30, 300, -300, NaN]) } },
      ]),
  });

export const gelu = activation("gelu", "x (1 + erf(x / sqrt 2)) / 2 (Hendrycks and Gimpel 2016).", geluOf);
export const geluTanh = activation("gelu_tanh", "x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2 (Hendrycks and Gimpel 2016).", geluTanhOf);
export const silu = activation("silu", "x / (1 + e^-x) (Elfwing et al. 2017).", siluOf);
export const softplus = activation("softplus", "log(1 + e^x).", softplusOf);

const gated = <const N extends string>(name: N, doc: string, expr: (s: ScalarBuilder, x: Reg) => Reg) =>
  defineElementwise({
    name,
    doc,
    inputs: [input("gate", "float"), input("up", "float")],
    dtype: sameOperands(name),
    expr: (s, [gate = 0, up = 0]) => s.mul(expr(s, gate), up),
    samples: (rng) =>
      floatDTypes.flatMap((d) =>
        binaryShapes.map(([a, b]) => ({ inputs: { gate: randomTensor(rng, d, a), up: randomTensor(rng, d, b) } })),
      ),
  });

export const swiglu = gated("swiglu", "silu(gate) * up (Shazeer 2020).", siluOf);
export const geglu = gated("geglu", "gelu_tanh(gate) * up (Shazeer 2020).", geluTanhOf);
