import type { DType } from "../dtype.ts";
import { defineElementwise } from "../elementwise.ts";
import { ShapeError } from "../errors.ts";
import { input } from "../op.ts";
import type { Reg, ScalarBuilder } from "../scalar.ts";
import { binaryShapes, numericDTypes, randomTensor } from "../samples.ts";

const same =
  (op: string) =>
  (dtypes: readonly DType[]): DType => {
    const [a, b] = dtypes;
    if (a === undefined || a !== b) throw new ShapeError(op, `expected operands of one dtype, got ${a} and ${b}: cast one of them`);
    return a;
  };

const binary = <const N extends string>(name: N, doc: string, expr: (s: ScalarBuilder, a: Reg, b: Reg) => Reg, commutative = false) =>
  defineElementwise({
    name,
    doc,
    inputs: [input("a", "numeric"), input("b", "numeric")],
    traits: { commutative },
    dtype: same(name),
    expr: (s, [a = 0, b = 0]) => expr(s, a, b),
    samples: (rng) =>
      numericDTypes.flatMap((d) => binaryShapes.map(([a, b]) => ({ inputs: { a: randomTensor(rng, d, a), b: randomTensor(rng, d, b) } }))),
  });

export const add = binary("add", "a + b.", (s, a, b) => s.add(a, b), true);
export const sub = binary("sub", "a - b.", (s, a, b) => s.sub(a, b));
export const mul = binary("mul", "a * b.", (s, a, b) => s.mul(a, b), true);
export const div = binary("div", "a / b; integers truncate, and give 0 for a zero divisor.", (s, a, b) => s.div(a, b));
