import type { Dim } from "../dim.ts";
import { AttrError } from "../errors.ts";
import type { TensorType } from "../op.ts";
import type { Tensor } from "../tensor.ts";
import { expectShape, type Floats } from "./rules.ts";

/** What every norm takes; rms_norm has no bias. */
export interface NormOperands<V> {
  readonly x: V;
  readonly weight?: V | undefined;
  readonly bias?: V | undefined;
}

/** Scale and shift of a norm have one element per normalised channel; eps keeps the root of the variance real. */
export function checkNorm(op: string, n: Dim, eps: number, operands: Readonly<Record<string, TensorType | undefined>>): void {
  if (!(eps >= 0)) throw new AttrError(op, `eps: expected a number >= 0, got ${eps}`);
  for (const [name, t] of Object.entries(operands)) if (t) expectShape(op, name, t, [n]);
}

/** Mean and 1 / sqrt(variance + eps) of n elements. */
export function moments(v: Floats, start: number, n: number, eps: number): { mean: number; scale: number } {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += v[start + i] ?? 0;
  const mean = sum / n;
  let squares = 0;
  for (let i = 0; i < n; i++) squares += ((v[start + i] ?? 0) - mean) ** 2;
  return { mean, scale: 1 / Math.sqrt(squares / n + eps) };
}

/** 1 / sqrt(mean(x^2) + eps) of n elements. */
export function rmsScale(v: Floats, start: number, n: number, eps: number): number {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += (v[start + i] ?? 0) ** 2;
  return 1 / Math.sqrt(sum / n + eps);
}

/** The largest scale of any group of n elements: how much a norm can enlarge an error. */
export function largestScale(x: Tensor, n: number, eps: number): number {
  const v = x.values();
  let scale = 0;
  for (let at = 0; at < v.length; at += Math.max(1, n)) scale = Math.max(scale, moments(v, at, n, eps).scale);
  return scale;
}
