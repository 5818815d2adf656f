import { computeClass, runBody } from "../elementwise.ts";
import { AttrError } from "../errors.ts";
import { attr, defineOp, type TensorType, variadic } from "../op.ts";
import type { Rng } from "../rng.ts";
import { randomTensor } from "../samples.ts";
import { type ScalarBody, type ScalarBuilder, scalarBuilder, scalarOps } from "../scalar.ts";
import { broadcastShapes } from "../shape.ts";

/** A body reads registers that exist, has one output, and one input per operand. */
export function checkBody(op: string, body: ScalarBody, operands: number): void {
  if (body.inputs !== operands) throw new AttrError(op, `body: expected ${operands} inputs, one per operand, got ${body.inputs}`);
  if (body.outputs.length !== 1) throw new AttrError(op, `body: expected one output, got ${body.outputs.length}`);
  for (const [i, step] of body.steps.entries()) {
    if (!Object.hasOwn(scalarOps, step.op)) throw new AttrError(op, `body: step ${i}: unknown scalar op "${step.op}"`);
    if (step.args.length !== scalarOps[step.op] || step.args.some((r) => r < 0 || r >= body.inputs + i))
      throw new AttrError(op, `body: step ${i}: expected ${scalarOps[step.op]} earlier registers for ${step.op}, got [${step.args}]`);
  }
  const last = body.inputs + body.steps.length;
  if (body.outputs.some((r) => r < 0 || r >= last))
    throw new AttrError(op, `body: expected an output register below ${last}, got ${body.outputs}`);
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
    checkBody("region", body, xs.length);
    const [dtype] = dtypes;
    if (dtype === undefined || dtypes.length !== 1) throw new AttrError("region", `dtypes: expected one dtype, got [${dtypes}]`);
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
    ]),
    ...(["f32", "f64"] as const).map((d) =>
      sample(rng, [[3, 67], [67]], d, (s) => s.mul(s.mul(0, s.sigmoid(0)), s.tanh(s.sqrt(s.abs(1))))),
    ),
    sample(rng, [[3, 67], [67]], "f16", (s) => s.mul(s.to_f16(s.add(0, 1)), s.exp(1))),
    sample(rng, [[3, 67], [67]], "bf16", (s) => s.add(s.to_bf16(s.mul(0, 1)), 1)),
  ],
});
