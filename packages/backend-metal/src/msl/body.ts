import { liveRegisters, type Reg, type ScalarBody, type ScalarOp } from "@rlxjs/ir";
import { floatLiteral, longLiteral } from "./literal.ts";
import { noF64 } from "./memory.ts";

type Print = (a: string, b: string, c: string) => string;
type Prints = Partial<Record<Exclude<ScalarOp, "const">, Print>>;

const call =
  (name: string): Print =>
  (...args) =>
    `${name}(${args.filter((a) => a !== "").join(", ")})`;
const infix =
  (operator: string): Print =>
  (a, b) =>
    `${a} ${operator} ${b}`;
/** A condition as a register: 0 or 1. */
const bit =
  (type: string, condition: Print): Print =>
  (...args) =>
    `${type}(${condition(...args)})`;

const comparisons = (type: string): Prints => ({
  eq: bit(type, infix("==")),
  ne: bit(type, infix("!=")),
  lt: bit(type, infix("<")),
  le: bit(type, infix("<=")),
  gt: bit(type, infix(">")),
  ge: bit(type, infix(">=")),
  not: bit(type, (a) => `${a} == 0`),
  select: (condition, a, b) => `${condition} != 0 ? ${a} : ${b}`,
});

/** Where MSL has another meaning or a larger error, functions of shaders/scalar.h. */
const floatOps = {
  neg: (a) => `-${a}`,
  abs: call("fabs"),
  sign: call("scalar_sign"),
  exp: call("exp"),
  log: call("log"),
  sqrt: call("sqrt"),
  rsqrt: (a) => `1.0f / sqrt(${a})`,
  sin: call("sin"),
  cos: call("cos"),
  tan: call("tan"),
  atan: call("scalar_atan"),
  tanh: call("scalar_tanh"),
  erf: call("scalar_erf"),
  sigmoid: call("scalar_sigmoid"),
  floor: call("floor"),
  ceil: call("ceil"),
  round: call("rint"),
  trunc: call("trunc"),
  to_f16: (a) => `float(half(${a}))`,
  to_bf16: (a) => `to_float(to_bf16(${a}))`,
  to_f32: (a) => a,
  add: infix("+"),
  sub: infix("-"),
  mul: infix("*"),
  div: infix("/"),
  rem: call("scalar_rem"),
  max: call("scalar_max"),
  min: call("scalar_min"),
  pow: call("scalar_pow"),
  and: (a, b) => `float(${a} != 0 && ${b} != 0)`,
  or: (a, b) => `float(${a} != 0 || ${b} != 0)`,
  xor: (a, b) => `float((${a} != 0) != (${b} != 0))`,
  ...comparisons("float"),
} satisfies Prints;

const intOps: Prints = {
  neg: call("scalar_neg"),
  abs: call("scalar_abs"),
  sign: call("scalar_sign"),
  add: call("scalar_add"),
  sub: call("scalar_sub"),
  mul: call("scalar_mul"),
  div: call("scalar_div"),
  rem: call("scalar_rem"),
  max: call("scalar_max"),
  min: call("scalar_min"),
  and: infix("&"),
  or: infix("|"),
  xor: infix("^"),
  ...comparisons("long"),
};

const classes = {
  f32: { type: "float", ops: floatOps as Prints, literal: floatLiteral },
  i64: { type: "long", ops: intOps, literal: longLiteral },
} as const;

/** Why a body cannot be printed; undefined when it can. */
export function unprintable(body: ScalarBody): string | undefined {
  if (body.compute === "f64") return noF64;
  if (body.outputs.length !== 1) return `a body with ${body.outputs.length} outputs`;
  const { ops } = classes[body.compute];
  const unknown = body.steps.find(({ op }) => op !== "const" && !ops[op]);
  return unknown && `${unknown.op} of ${body.compute}`;
}

export interface PrintedBody {
  /** Statements that declare the registers that the result needs, in order. */
  readonly lines: readonly string[];
  /** The register of the result. */
  readonly result: string;
}

/** A body that can be printed as MSL; `inputs` are expressions of its first registers, each evaluated at most once. */
export function printBody(body: ScalarBody, inputs: readonly string[]): PrintedBody {
  const { type, ops, literal } = classes[body.compute === "i64" ? "i64" : "f32"];
  const [result = 0] = body.outputs;
  const live = liveRegisters(body);
  const name = (r: Reg | undefined): string => (r === undefined ? "" : `r${r}`);
  const values = [
    ...inputs,
    ...body.steps.map(({ op, args: [a, b, c], imm = 0 }) => (op === "const" ? literal(imm) : (ops[op]?.(name(a), name(b), name(c)) ?? ""))),
  ];
  const lines = values.flatMap((value, r) => (live.has(r) ? [`const ${type} ${name(r)} = ${value};`] : []));
  return { lines, result: name(result) };
}
