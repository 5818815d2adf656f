import { dtypes } from "./dtype.ts";
import { bf16ToNumber, f16ToNumber, numberToBf16, numberToF16 } from "./float.ts";
import type { ScalarBody, ScalarOp } from "./scalar.ts";
import { evalFloatBody } from "./scalar-eval.ts";

/** A value and a bound of the error that it may have. */
export interface Bounded {
  readonly value: number;
  readonly error: number;
}

/** Library functions may be this many roundings away from the exact result (4 units in the last place). */
const FUNCTION_ROUNDINGS = 8;

/**
 * Running error analysis (Wilkinson; Higham 2002, section 3.3): evaluate a body in f64 together with a bound of what an evaluation
 * in the register type may differ by. Each step passes on the errors of its operands times its derivative, and adds one
 * rounding, u |r|; steps that only move, compare or negate add none.
 */
export function boundBody(body: ScalarBody, inputs: readonly Bounded[]): Bounded {
  const u = dtypes[body.compute === "f64" ? "f64" : "f32"].epsilon;
  const regs: Bounded[] = [...inputs];
  const zero: Bounded = { value: 0, error: 0 };
  for (const { op, args, imm } of body.steps) {
    const [a = zero, b = zero, c = zero] = args.map((r) => regs[r] ?? zero);
    if (op === "const") {
      const value = imm ?? 0;
      regs.push({ value, error: body.compute === "f64" ? 0 : Math.abs(Math.fround(value) - value) || 0 });
      continue;
    }
    const one: ScalarBody = { inputs: 3, compute: body.compute, steps: [{ op, args: [0, 1, 2] }], outputs: [3] };
    const [value = 0] = evalFloatBody(one, [a.value, b.value, c.value]);
    const error = propagated(op, a, b, c, value, u);
    regs.push({ value, error: Number.isNaN(error) ? Number.POSITIVE_INFINITY : error });
  }
  return regs[body.outputs[0] ?? 0] ?? zero;
}

/** Denormals may be flushed on the way. */
const TINY = 2 ** -126;

function propagated(op: ScalarOp, a: Bounded, b: Bounded, c: Bounded, r: number, u: number): number {
  const [x, y] = [Math.abs(a.value), Math.abs(b.value)];
  const size = Math.abs(r);
  const rounded = u * size + (u > 2 ** -40 ? TINY : 0);
  const library = FUNCTION_ROUNDINGS * rounded;
  if (!Number.isFinite(r)) return 0; // infinities and NaN compare as they are
  switch (op) {
    case "neg":
    case "abs":
      return a.error;
    case "add":
    case "sub":
      return a.error + b.error + rounded;
    case "mul":
      return x * b.error + y * a.error + a.error * b.error + rounded;
    case "div":
      return y > b.error ? (a.error + size * b.error) / (y - b.error) + rounded : Number.POSITIVE_INFINITY;
    case "max":
    case "min":
      return Math.max(a.error, b.error);
    case "rem":
      // An error may move the quotient across an integer.
      return a.error + b.error === 0 ? rounded : y + a.error + b.error;
    case "exp":
      return size * Math.expm1(a.error) + library;
    case "log":
      return x > a.error ? a.error / (x - a.error) + library + u : Number.POSITIVE_INFINITY;
    case "sqrt":
      return (size > 0 ? a.error / size : Math.sqrt(a.error)) + rounded;
    case "rsqrt":
      return x > a.error ? (size * a.error) / (x - a.error) + library : Number.POSITIVE_INFINITY;
    case "sin":
    case "cos":
      return a.error + FUNCTION_ROUNDINGS * u;
    case "tan":
      return (1 + r * r) * (2 * a.error + FUNCTION_ROUNDINGS * u) + library;
    case "erf":
      return 1.13 * a.error * Math.exp(-(Math.max(0, x - a.error) ** 2)) + library;
    case "atan":
      return a.error + library;
    case "tanh":
      return a.error * Math.min(1, (1 - r * r) * Math.exp(2 * a.error)) + library;
    case "sigmoid":
      return a.error * Math.min(1, r * (1 - r) * Math.exp(a.error)) + library;
    case "pow":
      // Of an infinite operand, 0 or 1.
      if (a.error + b.error === 0 && !(Number.isFinite(x) && Number.isFinite(y))) return 0;
      return size * (x > 0 ? y * (a.error / x) + Math.abs(Math.log(x)) * b.error : 0) + (1 + Math.abs(y * Math.log(x || 1))) * library;
    case "floor":
      return jump(Math.floor, a);
    case "ceil":
      return jump(Math.ceil, a);
    case "trunc":
      return jump(Math.trunc, a);
    case "round":
      return jump(Math.round, a);
    case "sign":
      return a.error >= x && a.error > 0 ? 2 : 0;
    case "eq":
    case "ne":
    case "lt":
    case "le":
    case "gt":
    case "ge":
      return a.error + b.error > 0 && Math.abs(a.value - b.value) <= a.error + b.error ? 1 : 0;
    case "not":
    case "and":
    case "or":
    case "xor":
      return Math.max(a.error, b.error) > 0 ? 1 : 0;
    case "select": {
      const chosen = a.value !== 0 ? b : c;
      return a.error > 0 ? Math.abs(b.value - c.value) + b.error + c.error : chosen.error;
    }
    case "to_f32":
      return stored((v) => Math.fround(v), a);
    case "to_f16":
      return stored((v) => f16ToNumber(numberToF16(v)), a);
    case "to_bf16":
      return stored((v) => bf16ToNumber(numberToBf16(v)), a);
    case "const":
      return 0;
  }
}

/** How far a monotonic step function can move under the operand's error. */
function jump(f: (v: number) => number, a: Bounded): number {
  const r = f(a.value);
  return a.error === 0 ? 0 : Math.max(f(a.value + a.error) - r, r - f(a.value - a.error));
}
const stored = jump;
