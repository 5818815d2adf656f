import { computeClass, type ComputeClass, type DType, type ScalarBody, type ScalarOp, type ScalarStep } from "@rlxjs/ir";

/** Where an operand of a part comes from: an operand of the whole, an earlier part, or a number. */
export type Source = { readonly external: number } | { readonly part: number } | { readonly literal: number };

/** One elementwise op inside a larger body. */
export interface BodyPart {
  readonly body: ScalarBody;
  readonly args: readonly Source[];
  readonly dtype: DType;
}

const bits: ReadonlySet<ScalarOp> = new Set(["not", "eq", "ne", "lt", "le", "gt", "ge", "and", "or", "xor"]);
/** Costly enough that recomputing one per element of a broadcast result does not pay. */
const costly: ReadonlySet<ScalarOp> = new Set(["exp", "log", "sin", "cos", "tan", "atan", "tanh", "erf", "sigmoid", "pow", "rem"]);

/** Whether a body is a few cheap instructions. */
export const isCheap = ({ steps }: ScalarBody): boolean => steps.length <= 4 && !steps.some((s) => costly.has(s.op));

/**
 * Whether a result of `dtype` may stay in a register of the class: floats, rounded where they are narrower than the register (see
 * `rounding`); bools that are 0 or 1 already. Integers narrower than the register would have to wrap.
 */
export function staysInRegister(body: ScalarBody, dtype: DType): boolean {
  if (dtype === "bool") {
    const last = body.steps[(body.outputs[0] ?? -1) - body.inputs];
    return last !== undefined && bits.has(last.op);
  }
  return body.compute === "i64" ? dtype === "i64" : computeClass(dtype) === body.compute;
}

/** The step that a store to `dtype` and a load back would do. */
const rounding = (dtype: DType): ScalarOp | undefined => (dtype === "f16" ? "to_f16" : dtype === "bf16" ? "to_bf16" : undefined);

/** Parts in order as one body; the last part is the result. All parts have the class `compute`. */
export function composeBody(compute: ComputeClass, externals: number, parts: readonly BodyPart[]): ScalarBody {
  const steps: ScalarStep[] = [];
  const push = (step: ScalarStep): number => externals + steps.push(step) - 1;
  const literals = new Map<string, number>();
  const literal = (imm: number): number => {
    const key = Object.is(imm, -0) ? "-0" : String(imm);
    const known = literals.get(key) ?? push({ op: "const", args: [], imm });
    literals.set(key, known);
    return known;
  };
  const results: number[] = [];
  for (const [i, { body, args, dtype }] of parts.entries()) {
    const registers = args.map((a) => ("external" in a ? a.external : "part" in a ? (results[a.part] ?? 0) : literal(a.literal)));
    for (const { op, args: from, imm } of body.steps)
      registers.push(op === "const" ? literal(imm ?? 0) : push({ op, args: from.map((r) => registers[r] ?? 0) }));
    const out = registers[body.outputs[0] ?? 0] ?? 0;
    const round = i === parts.length - 1 ? undefined : rounding(dtype);
    results.push(round === undefined ? out : push({ op: round, args: [out] }));
  }
  return { inputs: externals, compute, steps, outputs: [results.at(-1) ?? 0] };
}
