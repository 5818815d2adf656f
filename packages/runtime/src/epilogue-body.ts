import type { DType, Reg, ScalarBody } from "@rlxjs/ir";

/**
 * The body of an epilogue for a routine that hands its result (register 0, of dtype `inner`) over as a float that is not rounded yet;
 * or why it cannot be.
 */
export function epilogueBody(body: ScalarBody, inner: DType): ScalarBody | string {
  if (body.compute !== "f32") return `a body of class ${body.compute}`;
  const round = inner === "f16" ? "to_f16" : inner === "bf16" ? "to_bf16" : undefined;
  if (!round) return inner === "f32" ? body : `an inner result of dtype ${inner}`;
  // Register 0 is replaced by its rounded value, which becomes the first step.
  const rounded = body.inputs;
  const rename = (r: Reg): Reg => (r === 0 ? rounded : r < body.inputs ? r : r + 1);
  const steps = body.steps.map((s) => ({ ...s, args: s.args.map(rename) }));
  return { ...body, steps: [{ op: round, args: [0] }, ...steps], outputs: body.outputs.map(rename) };
}
