/**
 * The scalar expression language: what a generated kernel computes for one element. Elementwise ops are defined by such an
 * expression, fused regions are larger ones, and every backend prints or interprets the same form.
 */
export const scalarOps = {
  const: 0,
  // unary
  neg: 1,
  abs: 1,
  sign: 1,
  exp: 1,
  log: 1,
  sqrt: 1,
  rsqrt: 1,
  sin: 1,
  cos: 1,
  tan: 1,
  atan: 1,
  tanh: 1,
  erf: 1,
  sigmoid: 1,
  floor: 1,
  ceil: 1,
  round: 1,
  trunc: 1,
  not: 1,
  /** Round to the named storage type and back, so that a fused chain keeps the values of the unfused one. */
  to_f16: 1,
  to_bf16: 1,
  to_f32: 1,
  // binary; rem has the sign of the dividend, comparisons give 0 or 1, min and max propagate NaN
  add: 2,
  sub: 2,
  mul: 2,
  div: 2,
  rem: 2,
  max: 2,
  min: 2,
  pow: 2,
  eq: 2,
  ne: 2,
  lt: 2,
  le: 2,
  gt: 2,
  ge: 2,
  and: 2,
  or: 2,
  xor: 2,
  // ternary: condition ? a : b
  select: 3,
} as const;
export type ScalarOp = keyof typeof scalarOps;

/** Register type of an expression: floats compute in f32 (f64 for f64 operands), integers and bools in wrapping i64. */
export type ComputeClass = "f32" | "f64" | "i64";

/** One instruction; `args` are register numbers: inputs come first, then one register per step. */
export interface ScalarStep {
  readonly op: ScalarOp;
  readonly args: readonly number[];
  /** Value of a `const`. */
  readonly imm?: number;
}

/** A straight-line program over registers. */
export interface ScalarBody {
  readonly inputs: number;
  readonly compute: ComputeClass;
  readonly steps: readonly ScalarStep[];
  /** Registers that are the results, one per output. */
  readonly outputs: readonly number[];
}

/** A register number of the body that is being built. */
export type Reg = number;
type Arity = { 1: [Reg]; 2: [Reg, Reg]; 3: [Reg, Reg, Reg] };

/** Builds a ScalarBody: every scalar op is a method, `c(value)` is a literal. */
export type ScalarBuilder = {
  [K in Exclude<ScalarOp, "const">]: (...args: Arity[(typeof scalarOps)[K]]) => Reg;
} & { c(value: number): Reg; readonly steps: readonly ScalarStep[] };

export function scalarBuilder(inputs: number): ScalarBuilder {
  const steps: ScalarStep[] = [];
  const push = (step: ScalarStep): Reg => inputs + steps.push(step) - 1;
  const methods: Record<string, unknown> = { steps, c: (imm: number) => push({ op: "const", args: [], imm }) };
  for (const op of Object.keys(scalarOps) as ScalarOp[]) methods[op] ??= (...args: Reg[]) => push({ op, args });
  return methods as ScalarBuilder;
}

/** The registers that the outputs of a body depend on. */
export function liveRegisters({ inputs, steps, outputs }: ScalarBody): ReadonlySet<Reg> {
  const live = new Set<Reg>(outputs);
  for (let r = inputs + steps.length - 1; r >= inputs; r--)
    if (live.has(r)) for (const a of steps[r - inputs]?.args ?? []) live.add(a);
  return live;
}

/** erf to double precision: e^(-x^2) times a series of positive terms (no cancellation), and a continued fraction further out. */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (Number.isNaN(x)) return x;
  if (a > 6) return Math.sign(x);
  if (a < 2.5) {
    let term = a;
    let sum = a;
    for (let n = 1; term > 1e-18 * sum; n++) {
      term *= (2 * a * a) / (2 * n + 1);
      sum += term;
    }
    return 2 * Math.sign(x) * (sum / Math.sqrt(Math.PI)) * Math.exp(-a * a);
  }
  let f = 0;
  for (let k = 60; k >= 1; k--) f = k / 2 / (a + f);
  return Math.sign(x) * (1 - Math.exp(-a * a) / (Math.sqrt(Math.PI) * (a + f)));
}
