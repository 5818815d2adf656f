// Random bodies of the scalar expression language, as regions.
import {
  type AttrRecord,
  type DType,
  evalFloatBody,
  isFloat,
  isIntScalarOp,
  type ScalarBody,
  type ScalarOp,
  scalarOps,
  type ScalarStep,
  Tensor,
} from "@rlxjs/ir";
import fc from "fast-check";
import type { Case } from "../../backend-cpu/test/one-op.ts";

/** What has operands. */
export type Instruction = Exclude<ScalarOp, "const">;
export const floatOps = (Object.keys(scalarOps) as ScalarOp[]).filter((op): op is Instruction => op !== "const");
export const intOps = floatOps.filter(isIntScalarOp);

const floatDtypes: readonly DType[] = ["f32", "f16", "bf16", "i8", "u8", "i16", "i32", "u32", "bool"];
const intDtypes: readonly DType[] = ["i8", "u8", "i16", "i32", "u32", "i64", "bool"];
const results: readonly DType[] = [...floatDtypes, "i64"];

/** An instruction whose operands are any of the registers before it. */
const step = (ops: readonly ScalarOp[], registers: number, literal: fc.Arbitrary<number>): fc.Arbitrary<ScalarStep> =>
  fc.oneof(
    { arbitrary: literal.map((imm): ScalarStep => ({ op: "const", args: [], imm })), weight: 1 },
    {
      arbitrary: fc
        .tuple(fc.constantFrom(...ops), fc.array(fc.nat(registers - 1), { minLength: 3, maxLength: 3 }))
        .map(([op, args]): ScalarStep => ({ op, args: args.slice(0, scalarOps[op]) })),
      weight: 6,
    },
  );

const body = (compute: "f32" | "i64"): fc.Arbitrary<ScalarBody> =>
  fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 8 })).chain(([inputs, count]) => {
    const float = compute === "f32";
    const literal: fc.Arbitrary<number> = float ? fc.constantFrom(0, -0, 1, -1.5, 0.1, 3, 1e-3) : fc.integer({ min: -9, max: 9 });
    const steps = Array.from({ length: count }, (_, i) => step(float ? floatOps : intOps, inputs + i, literal));
    return fc.tuple(...steps).map((list): ScalarBody => ({ inputs, compute, steps: list, outputs: [inputs + count - 1] }));
  });

/** Operands of 2 x 3 x 4 elements, of rows, of columns, or one for all. */
const shape: fc.Arbitrary<number[]> = fc.constantFrom([2, 3, 4], [4], [3, 1], [2, 1, 4], [], [1, 1, 1]);

const tensor = (dtype: DType, dims: number[]): fc.Arbitrary<Tensor> => {
  const n = dims.reduce((a, b) => a * b, 1);
  const value = isFloat(dtype)
    ? fc.integer({ min: -4000, max: 4000 }).map((v) => v / 1000)
    : fc.oneof(fc.integer({ min: -5, max: 5 }), fc.integer({ min: -(2 ** 31), max: 2 ** 31 }));
  return fc.array(value, { minLength: n, maxLength: n }).map((values) => Tensor.from(dtype, dims, values));
};

/** Floats have another range than the doubles of the reference: values on the way stay well inside both. */
function isModerate({ slots, attrs }: Case): boolean {
  const { inputs, compute, steps } = attrs.body as ScalarBody;
  if (compute === "i64") return true;
  const registers = { inputs, compute, steps, outputs: [...steps.keys()].map((i) => inputs + i) };
  const columns = slots.map((t) => (t ? t.toArray() : []));
  const length = Math.max(...columns.map((c) => c.length));
  return Array.from({ length }, (_, i) => columns.map((c) => c[i % c.length] ?? 0)).every((values) =>
    evalFloatBody(registers, values).every((v) => Number.isNaN(v) || v === 0 || (Math.abs(v) < 1e30 && Math.abs(v) > 1e-30)),
  );
}

export const region = (name: string, scalars: ScalarBody, slots: readonly Tensor[], dtype: DType): Case => ({
  name,
  slots,
  attrs: { body: scalars, dtypes: [dtype] } as unknown as AttrRecord,
});

const regionOf = (compute: "f32" | "i64"): fc.Arbitrary<Case> =>
  body(compute)
    .chain((scalars) => {
      const dtype = fc.constantFrom(...(compute === "f32" ? floatDtypes : intDtypes));
      const slots = Array.from({ length: scalars.inputs }, () => fc.tuple(dtype, shape).chain(([d, s]) => tensor(d, s)));
      return fc.tuple(fc.tuple(...slots), fc.constantFrom(...results)).map(([list, result]) => region("random", scalars, list, result));
    })
    .filter(isModerate);

/** The same ones for the same seed. */
export const randomRegions = (compute: "f32" | "i64", seed: number, count: number): Case[] =>
  fc.sample(regionOf(compute), { seed, numRuns: count });
