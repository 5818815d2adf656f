import { type DType, isBlock, isFloat } from "../dtype.ts";
import { computeClass, runBody } from "../elementwise.ts";
import { AttrError } from "../errors.ts";
import { attr, defineOp, type TensorType, variadic } from "../op.ts";
import type { Rng } from "../rng.ts";
import { randomTensor } from "../samples.ts";
import { type ScalarBody, type ScalarBuilder, scalarBuilder } from "../scalar.ts";
import { isIntScalarOp } from "../scalar-eval.ts";
import { broadcastShapes } from "../shape.ts";

/** A body has one output, one input per operand, and steps that its register type can hold. `operands` are their dtypes. */
export function checkBody(op: string, body: ScalarBody, operands: readonly DType[], result: DType): void {
  if (body.inputs !== operands.length)
    throw new AttrError(op, `body: expected ${operands.length} inputs, one per operand, got ${body.inputs}`);
  if (body.outputs.length !== 1) throw new AttrError(op, `body: expected one output, got ${body.outputs.length}`);
  if (isBlock(result)) throw new AttrError(op, `body: expected a float, integer or bool result, got ${result}`);
  if (body.compute !== "i64") return;
  const float = operands.find((d) => isFloat(d) || isBlock(d));
  if (float !== undefined) throw new AttrError(op, `body: expected integer or bool operands for i64 registers, got ${float}`);
  for (const [i, step] of body.steps.entries())
    if (!isIntScalarOp(step.op) || (step.op === "const" && !Number.isSafeInteger(step.imm)))
      throw new AttrError(op, `body: step ${i}: expected a step on integers, got ${step.op} ${step.imm ?? ""}`.trim());
}

function sample(
  rng: Rng,
  shapes: readonly (readonly number[])[],
  dtype: "f32" | "f16" | "bf16" | "f64" | "i32",
  expr: (s: ScalarBuilder) => number,
) {
  const s = scalarBuilder(shapes.length);
  const outputs = [expr(s)];
  const body: ScalarBody = { inputs: shapes.length, compute: computeClass(dtype), steps: s.steps, outputs };
  return { inputs: { xs: shapes.map((shape) => randomTensor(rng, dtype, shape)) }, attrs: { body, dtypes: [dtype] } };
}

export const region = defineOp({
  name: "region",
  doc: "A fused elementwise expression: `body` over one element of each operand (broadcast, right-aligned), result in dtypes[0]. Made by the fusion pass.",
  inputs: [variadic("xs", "any")],
  attrs: { body: attr.body.required, dtypes: attr.dtypes.required },
  traits: { elementwise: (_, { body }) => body, inPlace: ["xs"] },
  infer: ({ xs }, { body, dtypes }): TensorType => {
    const [dtype] = dtypes;
    if (dtype === undefined || dtypes.length !== 1) throw new AttrError("region", `dtypes: expected one dtype, got [${dtypes}]`);
    checkBody(
      "region",
      body,
      xs.map((t) => t.dtype),
      dtype,
    );
    return { dtype, shape: broadcastShapes("region", ...xs.map((t) => t.shape)) };
  },
  reference: ({ xs }, { body }, out) => runBody(body, xs, [out]),
  samples: (rng) => [
    ...(["f32", "f16", "bf16", "f64", "i32"] as const).flatMap((d) => [
      sample(rng, [[0], [1]], d, (s) => s.add(0, 1)),
      sample(rng, [[2, 3, 5], [5], []], d, (s) => s.max(s.mul(0, 1), s.sub(2, s.c(1)))),
      sample(rng, [[1031], [1031], [1], [1031]], d, (s) => s.select(s.lt(0, 2), s.mul(1, 3), s.neg(0))),
      // Only two axes of four are walked by each operand.
      sample(
        rng,
        [
          [4, 1, 3, 1],
          [1, 5, 1, 2],
        ],
        d,
        (s) => s.mul(s.add(0, 1), 1),
      ),
      // Truth values that are numbers of the registers.
      sample(rng, [[2, 1, 1], [2, 3, 7], [3, 7]], d, (s) => {
        const [a, b] = [s.gt(0, 2), s.lt(1, 2)];
        return s.add(s.select(s.and(a, b), 0, 1), s.mul(s.c(-1), s.select(s.or(a, b), s.xor(a, b), 2)));
      }),
    ]),
    ...(["f32", "f64"] as const).map((d) =>
      sample(rng, [[3, 67], [67]], d, (s) => s.mul(s.mul(0, s.sigmoid(0)), s.tanh(s.sqrt(s.abs(1))))),
    ),
    sample(rng, [[3, 67], [67]], "f16", (s) => s.mul(s.to_f16(s.add(0, 1)), s.exp(1))),
    sample(rng, [[3, 67], [67]], "bf16", (s) => s.add(s.to_bf16(s.mul(0, 1)), 1)),
  ],
});
