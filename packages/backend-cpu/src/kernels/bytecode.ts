import { liveRegisters, type Reg, type ScalarBody, type ScalarOp, type ScalarStep } from "@rlxjs/ir";

/** Opcodes of native/cpu/vm_ops.h. */
const opcodes = {
  const: 0,
  neg: 1,
  abs: 2,
  sign: 3,
  exp: 4,
  log: 5,
  sqrt: 6,
  rsqrt: 7,
  sin: 8,
  cos: 9,
  tan: 10,
  atan: 11,
  tanh: 12,
  erf: 13,
  sigmoid: 14,
  floor: 15,
  ceil: 16,
  round: 17,
  trunc: 18,
  not: 19,
  to_f16: 20,
  to_bf16: 21,
  to_f32: 22,
  add: 23,
  sub: 24,
  mul: 25,
  div: 26,
  rem: 27,
  max: 28,
  min: 29,
  pow: 30,
  eq: 31,
  ne: 32,
  lt: 33,
  le: 34,
  gt: 35,
  ge: 36,
  and: 37,
  or: 38,
  xor: 39,
  select: 40,
  load: 41,
} as const satisfies Record<ScalarOp | "load", number>;

const magic = 0x314d5652;
const classes = { f32: 0, f64: 1, i64: 2 } as const;
/** Limits of native/cpu/vm.h. */
export const maxRegisters = 64;
export const maxOperands = 32;

interface Instruction {
  readonly op: ScalarOp | "load";
  /** Values that it reads (of a load: the operand). */
  readonly args: readonly number[];
  readonly imm: number;
}

/** Live instructions in order; operands are loaded just before their first use. Also which value each scalar register became. */
function schedule(body: ScalarBody, result: Reg): { code: Instruction[]; value: number } {
  const live = liveRegisters(body);
  const code: Instruction[] = [];
  const values = new Map<Reg, number>();
  const load = (r: Reg): number => {
    const known = values.get(r);
    if (known !== undefined) return known;
    values.set(r, code.push({ op: "load", args: [r], imm: 0 }) - 1);
    return code.length - 1;
  };
  body.steps.forEach((step: ScalarStep, i) => {
    const r = body.inputs + i;
    if (!live.has(r)) return;
    const args = step.args.map(load);
    values.set(r, code.push({ op: step.op, args, imm: step.imm ?? 0 }) - 1);
  });
  return { code, value: load(result) };
}

/** Registers of the machine for every value: one is free again after the last instruction that reads it. */
function allocate(code: readonly Instruction[], result: number): { registers: number[]; count: number } {
  const lastUse = new Map<number, number>([[result, code.length]]);
  code.forEach((c, i) => {
    if (c.op !== "load") for (const a of c.args) lastUse.set(a, Math.max(lastUse.get(a) ?? -1, i));
  });
  const free: number[] = [];
  let count = 0;
  const registers: number[] = [];
  code.forEach((c, i) => {
    // An instruction may write where it reads, so its operands' registers are free for its result.
    const ending = c.op === "load" ? [] : [...new Set(c.args)].filter((a) => lastUse.get(a) === i);
    for (const a of ending) free.push(registers[a] ?? 0);
    registers.push(free.pop() ?? count++);
  });
  return { registers, count };
}

/** A scalar body as bytecode for native/cpu/vm (its first output), or why it cannot be. */
export function bytecode(body: ScalarBody): Uint8Array<ArrayBuffer> | string {
  const [result] = body.outputs;
  if (result === undefined || body.outputs.length !== 1) return `a body with ${body.outputs.length} outputs`;
  if (body.inputs > maxOperands) return `more than ${maxOperands} operands`;
  const { code, value } = schedule(body, result);
  const { registers, count } = allocate(code, value);
  if (count > maxRegisters) return `more than ${maxRegisters} values at once`;
  const bytes = new Uint8Array(24 + 32 * code.length);
  const view = new DataView(bytes.buffer);
  const header = [magic, classes[body.compute], body.inputs, count, code.length, registers[value] ?? 0];
  for (const [i, word] of header.entries()) view.setUint32(4 * i, word, true);
  code.forEach((c, i) => {
    const at = 24 + 32 * i;
    const args = c.op === "load" ? c.args : c.args.map((a) => registers[a] ?? 0);
    for (const [k, word] of [opcodes[c.op], registers[i] ?? 0, ...args].entries()) view.setUint32(at + 4 * k, word, true);
    view.setFloat64(at + 24, c.imm, true);
  });
  return bytes;
}
