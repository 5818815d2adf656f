import { addDims, type Bindings, type Dim, evalDim, mulDims, subDims } from "@rlxjs/ir";

/** An integer over the extents of a program: sizes of grids, offsets and arguments of launches. Native code evaluates it at each run. */
export type Expr = Dim | Operation;
export interface Operation {
  readonly op: ExprOp;
  readonly a: Expr;
  readonly b: Expr;
}
/** `div` and `ceilDiv` round toward minus and plus infinity, `rem` goes with `div`; divisors are positive. */
export type ExprOp = "add" | "sub" | "mul" | "div" | "ceilDiv" | "rem" | "min" | "max";

const evaluate: Readonly<Record<ExprOp, (a: number, b: number) => number>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => Math.floor(a / b),
  ceilDiv: (a, b) => Math.ceil(a / b),
  rem: (a, b) => a - b * Math.floor(a / b),
  min: Math.min,
  max: Math.max,
};

const isDim = (e: Expr): e is Dim => typeof e === "number" || !("op" in e);
const make =
  (op: ExprOp, symbolic?: (a: Dim, b: Dim) => Dim) =>
  (a: Expr, b: Expr): Expr => {
    if (typeof a === "number" && typeof b === "number") return evaluate[op](a, b);
    return symbolic && isDim(a) && isDim(b) ? symbolic(a, b) : { op, a, b };
  };

export const add = make("add", addDims);
export const sub = make("sub", subDims);
export const mul = make("mul", mulDims);
export const div = make("div");
export const ceilDiv = make("ceilDiv");
export const rem = make("rem");
export const min = make("min");
export const max = make("max");
/** 1 where e is at least n, else 0: as a factor of a grid it chooses between launches, of which one with an extent of 0 is left out. */
export const atLeast = (e: Expr, n: Expr): Expr => min(1, max(0, sub(e, sub(n, 1))));
export const product = (list: readonly Expr[]): Expr => list.reduce<Expr>(mul, 1);

export function evalExpr(e: Expr, bindings: Bindings): number {
  return isDim(e) ? evalDim(e, bindings) : evaluate[e.op](evalExpr(e.a, bindings), evalExpr(e.b, bindings));
}
