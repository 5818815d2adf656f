import type { Builder, Value } from "../../builder.ts";
import { type DType, isBlock } from "../../dtype.ts";
import { ShapeError } from "../../errors.ts";
import { showType } from "../../shape.ts";

/** A small weight (norm, bias) in the activations' dtype; for params this is a weight expression, evaluated once. */
export const asFloat = (b: Builder, v: Value, dtype: DType): Value =>
  v.dtype === dtype ? v : isBlock(v.dtype) ? b.dequantize(v, { dtype }) : b.cast(v, { dtype });

export type Activation = "none" | "silu" | "gelu" | "gelu_tanh" | "relu";
export const activations = ["none", "silu", "gelu", "gelu_tanh", "relu"] as const;

export function activate(b: Builder, x: Value, kind: Activation): Value {
  switch (kind) {
    case "none":
      return x;
    case "silu":
      return b.silu(x);
    case "gelu":
      return b.gelu(x);
    case "gelu_tanh":
      return b.geluTanh(x);
    case "relu":
      return b.relu(x);
  }
}

/** x [..., k] times a weight [n, k], and a bias [n] in x's dtype. */
export function project(b: Builder, x: Value, w: Value, bias?: Value): Value {
  return b.linear(x, w, bias ? { bias: asFloat(b, bias, x.dtype) } : {});
}

/** RMS norm with Gemma's (offset + w), which is a weight expression. */
export function rms(b: Builder, x: Value, w: Value, eps: number, offset: number): Value {
  return b.rmsNorm(x, { weight: shifted(b, asFloat(b, w, x.dtype), offset), eps });
}
export const shifted = (b: Builder, w: Value, offset: number): Value => (offset === 0 ? w : b.add(w, offset));

/** cap * tanh(x / cap). */
export const softCap = (b: Builder, x: Value, cap: number): Value => b.mul(b.tanh(b.div(x, cap)), cap);

export function expectRank(block: string, what: string, v: Value, rank: number, layout: string): void {
  if (v.shape.length !== rank) throw new ShapeError(block, `${what}: expected ${layout}, got ${showType(v.type)}`);
}
