import { checkAttrs, checkInputs } from "../check.ts";
import type { DType } from "../dtype.ts";
import { runBody } from "../elementwise.ts";
import { AttrError } from "../errors.ts";
import { runReference } from "../evaluate.ts";
import type { AttrRecord } from "../graph.ts";
import { type AnyOpDef, attr, defineOp, type InputSpec, type TensorType, variadic } from "../op.ts";
import type { Rng } from "../rng.ts";
import { intDTypes, randomTensor, weightTensor } from "../samples.ts";
import { type ScalarBuilder, scalarBuilder } from "../scalar.ts";
import { Tensor } from "../tensor.ts";
import { checkBody } from "./region.ts";
import { opByName } from "./registry.ts";
import { expectBroadcast } from "./rules.ts";

interface EpilogueAttrs {
  readonly op: string;
  readonly attrs: AttrRecord;
  readonly arity: number;
  readonly present: readonly number[];
}

/** The inner op of a with_epilogue node, its operands by slot, and the operands that are left for the epilogue. */
export function innerNode<V>(
  xs: readonly V[],
  { op, attrs, arity, present }: EpilogueAttrs,
): { def: AnyOpDef; attrs: AttrRecord; slots: (V | undefined)[]; extra: V[] } {
  const def = opByName(op);
  const slots = (def.inputs as readonly InputSpec[]).map((_, i) => xs[present.indexOf(i)]);
  return { def, attrs: checkAttrs(def, attrs), slots, extra: xs.slice(arity) };
}

/** Type of the inner result, before the epilogue. */
export function innerType(xs: readonly TensorType[], a: EpilogueAttrs): TensorType {
  const { def, attrs, slots } = innerNode(xs, a);
  const [type] = checkInputs(def, slots, attrs);
  return type as TensorType;
}

function sample(
  rng: Rng,
  d: "f32" | "f16" | "bf16",
  rows: number,
  bias: boolean,
  extra: readonly (readonly number[])[],
  expr: (s: ScalarBuilder) => number,
) {
  const s = scalarBuilder(1 + extra.length);
  const outputs = [expr(s)];
  const inner = [randomTensor(rng, d, [2, rows, 65]), randomTensor(rng, d, [33, 65]), ...(bias ? [randomTensor(rng, d, [33])] : [])];
  return {
    inputs: { xs: [...inner, ...extra.map((shape) => randomTensor(rng, d, shape))] },
    attrs: {
      op: "linear",
      attrs: {},
      arity: inner.length,
      present: inner.map((_, i) => i),
      body: { inputs: 1 + extra.length, compute: "f32" as const, steps: s.steps, outputs },
      dtype: d,
    },
  };
}

/** A result in another dtype than the inner op's: integers, of which some saturate. */
function converted(rng: Rng, dtype: DType) {
  const base = sample(rng, "f32", 1, false, [], (s) => s.max(0, s.c(0)));
  const integers = [
    [2, 3],
    [7, 3],
  ].map((shape) => Tensor.from("f32", shape, randomTensor(rng, "i8", shape).values()));
  return { inputs: { xs: integers }, attrs: { ...base.attrs, dtype } };
}

export const withEpilogue = defineOp({
  name: "with_epilogue",
  doc:
    "A routine finished by a fused elementwise body: the first `arity` xs are the operands of `op` (for its slots `present`), register 0 of `body` is its " +
    "result in its own dtype, the other registers are the remaining xs, broadcast to it. Made by the fusion pass.",
  inputs: [variadic("xs", "any")],
  attrs: {
    op: attr.string.required,
    attrs: attr.record.required,
    arity: attr.int.required,
    present: attr.ints.required,
    body: attr.body.required,
    dtype: attr.dtype.required,
  },
  infer: ({ xs }, a): TensorType => {
    const { def, extra } = innerNode(xs, a);
    if (!def.traits.epilogue) throw new AttrError("with_epilogue", `op: expected an op with an epilogue, got "${a.op}"`);
    const slots = def.inputs.length;
    if (a.present.length !== a.arity || xs.length < a.arity || a.present.some((p, i) => p >= slots || p <= (a.present[i - 1] ?? -1)))
      throw new AttrError("with_epilogue", `present: expected ${a.arity} ascending slots of ${a.op}, got [${a.present}]`);
    const { dtype, shape } = innerType(xs, a);
    for (const [i, t] of extra.entries()) expectBroadcast("with_epilogue", `xs[${a.arity + i}]`, t, shape);
    checkBody("with_epilogue", a.body, [dtype, ...extra.map((t) => t.dtype)], a.dtype);
    return { dtype: a.dtype, shape };
  },
  reference: ({ xs }, a, out) => {
    const { def, attrs, slots, extra } = innerNode(xs, a);
    const inner = Tensor.zeros(innerType(xs, a).dtype, out.shape);
    runReference(def, slots, attrs, [inner]);
    runBody(a.body, [inner, ...extra], [out]);
  },
  samples: (rng) => [
    ...(["f32", "f16", "bf16"] as const).flatMap((d) =>
      [1, 3].flatMap((rows) => [
        sample(rng, d, rows, false, [], (s) => s.max(0, s.c(0))),
        sample(rng, d, rows, true, [], (s) => s.mul(0, s.sigmoid(0))),
        sample(rng, d, rows, false, [[33], [2, rows, 33]], (s) => s.add(s.add(0, 1), 2)),
        sample(rng, d, rows, true, [[rows, 1]], (s) => s.mul(0, 1)),
      ]),
    ),
    ...(["q8_0", "q4_0", "q6_k"] as const).map((d) => {
      const base = sample(rng, "f32", 1, false, [[1, 7]], (s) => s.add(0, 1));
      const [, , extra] = base.inputs.xs;
      return { ...base, inputs: { xs: [randomTensor(rng, "f32", [3, 256]), weightTensor(rng, d, [7, 256]), ...(extra ? [extra] : [])] } };
    }),
    ...[...intDTypes, "bool" as const].map((dtype) => converted(rng, dtype)),
  ],
});
