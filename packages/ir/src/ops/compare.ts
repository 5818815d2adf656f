import { isBlock } from "../dtype.ts";
import { defineElementwise } from "../elementwise.ts";
import { ShapeError } from "../errors.ts";
import { input } from "../op.ts";
import { binaryShapes, numericDTypes, randomTensor } from "../samples.ts";
import type { Reg, ScalarBuilder } from "../scalar.ts";
import { sameOperands } from "../shape.ts";
import { Tensor } from "../tensor.ts";

type Expr = (s: ScalarBuilder, a: Reg, b: Reg) => Reg;

const compare = <const N extends string>(name: N, doc: string, expr: Expr, commutative = false) =>
  defineElementwise({
    name,
    doc,
    inputs: [input("a", "numeric"), input("b", "numeric")],
    traits: { commutative },
    dtype: (dtypes) => {
      sameOperands(name)(dtypes);
      return "bool";
    },
    expr: (s, [a = 0, b = 0]) => expr(s, a, b),
    samples: (rng) => [
      ...numericDTypes.flatMap((d) =>
        binaryShapes.map(([a, b]) => ({ inputs: { a: randomTensor(rng, d, a), b: randomTensor(rng, d, b) } })),
      ),
      { inputs: { a: Tensor.from("f32", [5], [0, NaN, NaN, Infinity, 1]), b: Tensor.from("f32", [5], [-0, NaN, 1, Infinity, 2]) } },
      { inputs: { a: Tensor.from("i64", [2], [2n ** 53n, -1n]), b: Tensor.from("i64", [2], [2n ** 53n + 1n, -1n]) } },
    ],
  });

export const eq = compare("eq", "a = b, as bool.", (s, a, b) => s.eq(a, b), true);
export const ne = compare("ne", "a != b, as bool.", (s, a, b) => s.ne(a, b), true);
export const lt = compare("lt", "a < b, as bool.", (s, a, b) => s.lt(a, b));
export const le = compare("le", "a <= b, as bool.", (s, a, b) => s.le(a, b));
export const gt = compare("gt", "a > b, as bool.", (s, a, b) => s.gt(a, b));
export const ge = compare("ge", "a >= b, as bool.", (s, a, b) => s.ge(a, b));

const logical = <const N extends string>(name: N, doc: string, expr: Expr) =>
  defineElementwise({
    name,
    doc,
    inputs: [input("a", "bool"), input("b", "bool")],
    traits: { commutative: true },
    dtype: () => "bool",
    expr: (s, [a = 0, b = 0]) => expr(s, a, b),
    samples: (rng) => binaryShapes.map(([a, b]) => ({ inputs: { a: randomTensor(rng, "bool", a), b: randomTensor(rng, "bool", b) } })),
  });

export const logicalAnd = logical("logical_and", "a and b.", (s, a, b) => s.and(a, b));
export const logicalOr = logical("logical_or", "a or b.", (s, a, b) => s.or(a, b));
export const logicalXor = logical("logical_xor", "a or b, but not both.", (s, a, b) => s.xor(a, b));

export const where = defineElementwise({
  name: "where",
  doc: "a where cond is true, else b.",
  inputs: [input("cond", "bool"), input("a", "any"), input("b", "any")],
  traits: { inPlace: ["a", "b"] },
  computeFrom: 1,
  dtype: ([, a = "f32", b = "f32"]) => {
    const dtype = sameOperands("where")([a, b]);
    if (isBlock(dtype)) throw new ShapeError("where", `a: expected a float, integer or bool dtype, got ${dtype}`);
    return dtype;
  },
  expr: (s, [cond = 0, a = 0, b = 0]) => s.select(cond, a, b),
  samples: (rng) =>
    [...numericDTypes, "bool" as const].flatMap((d) =>
      [
        [[3], [3], [3]],
        [[2, 1], [3], []],
        [[0], [1], []],
        [[1031], [1031], [1]],
        [[], [2, 3], [3]],
      ].map(([c = [], a = [], b = []]) => ({
        inputs: { cond: randomTensor(rng, "bool", c), a: randomTensor(rng, d, a), b: randomTensor(rng, d, b) },
      })),
    ),
});
