import { namedInputs } from "./check.ts";
import { evalDim } from "./dim.ts";
import { type DType, dtypes, isBlock, isFloat } from "./dtype.ts";
import { broadcastStrides, offsetAt } from "./elementwise.ts";
import { runReference } from "./evaluate.ts";
import type { AttrRecord } from "./graph.ts";
import type { AnyOpDef, InputSpec } from "./op.ts";
import { innerNode, innerType, withEpilogue } from "./ops/with-epilogue.ts";
import type { ScalarBody } from "./scalar.ts";
import { type Bounded, boundBody } from "./scalar-bound.ts";
import { Tensor } from "./tensor.ts";

type Slots = readonly (Tensor | undefined)[];

/*
 * How far a kernel's result may be from the reference, per element. With K = accumulate.length, u = half an ulp of the
 * accumulation dtype (f64 when the result is f64), v = half an ulp of the result's dtype, y = the reference, and M = what one
 * rounding is relative to (accumulate.magnitude):
 *
 *   moves, comparisons, casts, integers:  0: bit-exact
 *   accumulating ops:                     (K + 8) u M + store(y)
 *   the same with a block-format weight:  + f(|dx|, |w|), |dx_i| = d/2 + 2^-11 |x_i|, d = max|x| / 127 over i's block of 32: activations
 *                                         may be rounded to int8 with a scale in f16 (q8_0)
 *   elementwise expressions:              running error analysis of the expression in its register type (scalar-bound.ts) + store(y)
 *   with_epilogue:                        the same, starting from the inner op's bound
 *
 * store(y) is what rounding to the result's dtype makes of an error e before it: e itself, and up to one more unit, 2 v |y|, when
 * there is an error at all. (K + 8): one rounding per product and sum whatever their order (Higham 2002, section 3.1), and a few for the
 * scaling, the root or the exponential around the sum.
 */

/** Tolerance of every element of output `outIndex`, given the references' results for all outputs. */
export function errorBound(def: AnyOpDef, inputs: Slots, attrs: AttrRecord, references: readonly Tensor[], outIndex = 0): Float64Array {
  const reference = references[outIndex] as Tensor;
  return errorsBefore(def, inputs, attrs, reference, outIndex).map((e, i) => stored(e, reference.get(i), reference.dtype));
}

/** The error of each element before it is stored. */
function errorsBefore(def: AnyOpDef, inputs: Slots, attrs: AttrRecord, reference: Tensor, outIndex: number): Float64Array {
  const { accumulate, elementwise } = def.traits;
  if (def.name === withEpilogue.name) return epilogueErrors(inputs as Tensor[], attrs, reference);
  if (elementwise) {
    const body = elementwise(inputs as Tensor[], attrs as never) as ScalarBody;
    return bodyErrors(
      body,
      inputs.map((t) => t as Tensor),
      undefined,
      reference,
    );
  }
  const errors = new Float64Array(reference.size);
  if (!accumulate || !isFloat(reference.dtype)) return errors;
  const terms = evalDim(accumulate.length(inputs, attrs as never), {});
  if (terms === 0) return errors;
  const u = dtypes[reference.dtype === "f64" ? "f64" : accumulate.dtype].epsilon;
  const { magnitude } = accumulate;
  const absolute = magnitude === "absolute" ? onAbsolutes(def, inputs, attrs, reference, outIndex) : undefined;
  const scale = typeof magnitude === "function" ? magnitude(namedInputs(def, inputs) as never, attrs as never) : Math.abs;
  for (let i = 0; i < errors.length; i++) errors[i] = (terms + 8) * u * (absolute?.get(i) ?? scale(reference.get(i)));

  const slot = (def.inputs as readonly InputSpec[]).findIndex((s) => s.name === accumulate.activations);
  const x = inputs[slot];
  if (x && inputs.some((t) => t && isBlock(t.dtype))) {
    const rounding = activationRounding(x);
    const extra = onAbsolutes(
      def,
      inputs.map((t, i) => (i === slot ? rounding : t)),
      attrs,
      reference,
      outIndex,
      true,
    );
    for (let i = 0; i < errors.length; i++) errors[i] = (errors[i] ?? 0) + extra.get(i);
  }
  return errors;
}

/** The op on the absolute values of its float operands, in f64. `withoutBias`: optional operands add nothing to a difference. */
function onAbsolutes(def: AnyOpDef, inputs: Slots, attrs: AttrRecord, like: Tensor, outIndex: number, withoutBias = false): Tensor {
  const outs = (def.outputs as readonly string[]).map(() => Tensor.zeros("f64", like.shape));
  const slots = inputs.map((t, i) => {
    if (!t || (withoutBias && (def.inputs as readonly InputSpec[])[i]?.mode === "optional")) return undefined;
    return isFloat(t.dtype) || isBlock(t.dtype) ? new Tensor("f64", t.shape, Float64Array.from(t.values(), Math.abs)) : t;
  });
  runReference(def, slots, attrs, outs);
  return outs[outIndex] as Tensor;
}

/** What rounding activations to int8 per block of 32 may change: half a step, and the scale's own rounding to f16. */
function activationRounding(x: Tensor): Tensor {
  const n = x.shape.at(-1) ?? 1;
  const v = x.values();
  const out = new Float64Array(v.length);
  for (let row = 0; row < v.length; row += n)
    for (let start = row; start < row + n; start += 32) {
      const end = Math.min(start + 32, row + n);
      let peak = 0;
      for (let i = start; i < end; i++) peak = Math.max(peak, Math.abs(v[i] ?? 0));
      for (let i = start; i < end; i++) out[i] = peak / 254 + 2 ** -11 * Math.abs(v[i] ?? 0);
    }
  return new Tensor("f64", x.shape, out);
}

/** Running analysis of a body per element; register 0 may come with errors of its own. */
function bodyErrors(body: ScalarBody, inputs: readonly Tensor[], first: Float64Array | undefined, like: Tensor): Float64Array {
  const errors = new Float64Array(like.size);
  if (body.compute === "i64") return errors;
  const strides = inputs.map((t) => broadcastStrides(t.shape, like.shape));
  const values = inputs.map((t) => t.values());
  for (let i = 0; i < errors.length; i++) {
    const regs = values.map(
      (v, k): Bounded => ({ value: v[offsetAt(i, like.shape, strides[k] ?? [])] ?? 0, error: k === 0 ? (first?.[i] ?? 0) : 0 }),
    );
    errors[i] = boundBody(body, regs).error;
  }
  return errors;
}

function epilogueErrors(inputs: readonly Tensor[], attrs: AttrRecord, reference: Tensor): Float64Array {
  const a = attrs as unknown as Parameters<typeof innerNode>[1] & { readonly body: ScalarBody };
  const { def, attrs: innerAttrs, slots, extra } = innerNode(inputs, a);
  const inner = Tensor.zeros(innerType(inputs, a).dtype, reference.shape);
  runReference(def, slots, innerAttrs, [inner]);
  return bodyErrors(a.body, [inner, ...extra], errorBound(def, slots, innerAttrs, [inner]), reference);
}

/** An error after storing: exact values store exactly, others may land one unit away. */
function stored(error: number, y: number, dtype: DType): number {
  if (error === 0 || !Number.isFinite(y)) return 0;
  if (dtype === "bool") return Math.min(1, error);
  if (!isFloat(dtype)) return Math.ceil(error);
  const smallest = { f32: 2 ** -149, f64: 2 ** -1074, f16: 2 ** -24, bf16: 2 ** -133 }[dtype];
  return error + 2 * dtypes[dtype].epsilon * Math.abs(y) + smallest;
}

export interface Mismatch {
  readonly output: string;
  readonly index: number;
  readonly expected: number;
  readonly actual: number;
  readonly tolerance: number;
}

/** The worst element that is outside its bound, if any. NaN matches NaN, an infinity only itself. */
export function findMismatch(
  def: AnyOpDef,
  inputs: Slots,
  attrs: AttrRecord,
  references: readonly Tensor[],
  actual: readonly Tensor[],
): Mismatch | undefined {
  let worst: Mismatch | undefined;
  let excess = 0;
  for (const [o, expected] of references.entries()) {
    const got = actual[o] as Tensor;
    const bound = errorBound(def, inputs, attrs, references, o);
    for (let index = 0; index < expected.size; index++) {
      const tolerance = bound[index] ?? 0;
      const off = distance(expected, got, index);
      if (off <= tolerance || off - tolerance <= excess) continue;
      excess = off - tolerance;
      worst = {
        output: String((def.outputs as readonly string[])[o]),
        index,
        expected: expected.get(index),
        actual: got.get(index),
        tolerance,
      };
    }
  }
  return worst;
}

/** |a - b| of one element; 0 when both are the same value (also NaN), infinite when only one is NaN or infinite. */
function distance(a: Tensor, b: Tensor, i: number): number {
  if (a.dtype === "i64") return a.getInt(i) === b.getInt(i) ? 0 : Math.max(1, Math.abs(a.get(i) - b.get(i)));
  const [x, y] = [a.get(i), b.get(i)];
  if (x === y || (Number.isNaN(x) && Number.isNaN(y))) return 0;
  const d = Math.abs(x - y);
  return Number.isNaN(d) ? Number.POSITIVE_INFINITY : d;
}
