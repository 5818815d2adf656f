import type { Builder, Value } from "../builder.ts";
import type { DType } from "../dtype.ts";

// Decompositions of f16 and bf16 ops keep what is between their primitives in f32, as the ops themselves do.

export const widen = (b: Builder, x: Value): Value => (x.dtype === "f16" || x.dtype === "bf16" ? b.cast(x, { dtype: "f32" }) : x);

export const castTo = (b: Builder, x: Value, dtype: DType): Value => (x.dtype === dtype ? x : b.cast(x, { dtype }));
