import { bf16ToNumber, f16ToNumber, numberToBf16, numberToF16, roundHalfEven } from "./float.ts";
import { erf, type ScalarBody, type ScalarOp } from "./scalar.ts";

type Args<T> = readonly [T, T, T];

const bit = (b: boolean): number => (b ? 1 : 0);

const floatOps: Record<Exclude<ScalarOp, "const">, (v: Args<number>) => number> = {
  neg: ([a]) => -a,
  abs: ([a]) => Math.abs(a),
  sign: ([a]) => Math.sign(a),
  exp: ([a]) => Math.exp(a),
  log: ([a]) => Math.log(a),
  sqrt: ([a]) => Math.sqrt(a),
  rsqrt: ([a]) => 1 / Math.sqrt(a),
  sin: ([a]) => Math.sin(a),
  cos: ([a]) => Math.cos(a),
  tan: ([a]) => Math.tan(a),
  atan: ([a]) => Math.atan(a),
  tanh: ([a]) => Math.tanh(a),
  erf: ([a]) => erf(a),
  sigmoid: ([a]) => 1 / (1 + Math.exp(-a)),
  floor: ([a]) => Math.floor(a),
  ceil: ([a]) => Math.ceil(a),
  round: ([a]) => roundHalfEven(a),
  trunc: ([a]) => Math.trunc(a),
  not: ([a]) => bit(a === 0),
  to_f16: ([a]) => f16ToNumber(numberToF16(a)),
  to_bf16: ([a]) => bf16ToNumber(numberToBf16(a)),
  to_f32: ([a]) => Math.fround(a),
  add: ([a, b]) => a + b,
  sub: ([a, b]) => a - b,
  mul: ([a, b]) => a * b,
  div: ([a, b]) => a / b,
  rem: ([a, b]) => a % b,
  max: ([a, b]) => Math.max(a, b),
  min: ([a, b]) => Math.min(a, b),
  pow: ([a, b]) => a ** b,
  eq: ([a, b]) => bit(a === b),
  ne: ([a, b]) => bit(a !== b),
  lt: ([a, b]) => bit(a < b),
  le: ([a, b]) => bit(a <= b),
  gt: ([a, b]) => bit(a > b),
  ge: ([a, b]) => bit(a >= b),
  and: ([a, b]) => bit(a !== 0 && b !== 0),
  or: ([a, b]) => bit(a !== 0 || b !== 0),
  xor: ([a, b]) => bit((a !== 0) !== (b !== 0)),
  select: ([c, a, b]) => (c !== 0 ? a : b),
};

const big = (b: boolean): bigint => (b ? 1n : 0n);
/** Integer division by zero gives 0 (and remainder 0): the same on every backend, no trap. */
const intOps: Partial<Record<ScalarOp, (v: Args<bigint>) => bigint>> = {
  neg: ([a]) => -a,
  abs: ([a]) => (a < 0n ? -a : a),
  sign: ([a]) => big(a > 0n) - big(a < 0n),
  not: ([a]) => big(a === 0n),
  add: ([a, b]) => a + b,
  sub: ([a, b]) => a - b,
  mul: ([a, b]) => a * b,
  div: ([a, b]) => (b === 0n ? 0n : a / b),
  rem: ([a, b]) => (b === 0n ? 0n : a % b),
  max: ([a, b]) => (a > b ? a : b),
  min: ([a, b]) => (a < b ? a : b),
  eq: ([a, b]) => big(a === b),
  ne: ([a, b]) => big(a !== b),
  lt: ([a, b]) => big(a < b),
  le: ([a, b]) => big(a <= b),
  gt: ([a, b]) => big(a > b),
  ge: ([a, b]) => big(a >= b),
  and: ([a, b]) => a & b,
  or: ([a, b]) => a | b,
  xor: ([a, b]) => a ^ b,
  select: ([c, a, b]) => (c !== 0n ? a : b),
};

/** Whether `op` is defined on the integer class. */
export const isIntScalarOp = (op: ScalarOp): boolean => op === "const" || intOps[op] !== undefined;

/** Evaluate one element in f64; returns the output registers. */
export function evalFloatBody(body: ScalarBody, inputs: readonly number[]): number[] {
  const regs = [...inputs];
  for (const { op, args, imm } of body.steps) {
    const [a = 0, b = 0, c = 0] = args;
    regs.push(op === "const" ? (imm ?? 0) : floatOps[op]([regs[a] ?? 0, regs[b] ?? 0, regs[c] ?? 0]));
  }
  return body.outputs.map((r) => regs[r] ?? 0);
}

/** Evaluate one element in wrapping 64-bit integers. */
export function evalIntBody(body: ScalarBody, inputs: readonly bigint[]): bigint[] {
  const regs = [...inputs];
  for (const { op, args, imm } of body.steps) {
    const [a = 0, b = 0, c = 0] = args;
    const fn = intOps[op];
    if (op === "const") regs.push(BigInt(imm ?? 0));
    else if (fn) regs.push(BigInt.asIntN(64, fn([regs[a] ?? 0n, regs[b] ?? 0n, regs[c] ?? 0n])));
    else throw new RangeError(`scalar op "${op}" is not defined on integers`);
  }
  return body.outputs.map((r) => regs[r] ?? 0n);
}
