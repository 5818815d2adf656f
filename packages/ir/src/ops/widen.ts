import type { Builder, Value } from "../builder.ts";
import type { Dim } from "../dim.ts";
import type { DType } from "../dtype.ts";

// Decompositions of f16 and bf16 ops keep what is between their primitives in f32, as the ops themselves do.

export const widen = (b: Builder, x: Value): Value => (x.dtype === "f16" || x.dtype === "bf16" ? b.cast(x, { dtype: "f32" }) : x);

export const castTo = (b: Builder, x: Value, dtype: DType): Value => (x.dtype === dtype ? x : b.cast(x, { dtype }));

/** An extent as a scalar value; a symbolic one is counted when it is known. */
export const extentValue = (b: Builder, n: Dim, dtype: DType): Value =>
  typeof n === "number" ? b.constant(n, dtype) : b.reduceSum(b.expand(b.constant(1, dtype), { shape: [n] }), { axes: [0] });
