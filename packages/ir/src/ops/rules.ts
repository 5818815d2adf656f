import { type Dim, dimEquals, divDims, shapeEquals } from "../dim.ts";
import { ShapeError } from "../errors.ts";
import type { TensorType } from "../op.ts";
import { showShape, showType } from "../shape.ts";

// Checks and loops that several op records share. Every error names the op, the operand, what was expected and what was given.

export function expectRank(op: string, operand: string, t: TensorType, rank: number): void {
  if (t.shape.length !== rank) throw new ShapeError(op, `${operand}: expected ${rank} axes, got ${showType(t)}`);
}

export function expectShape(op: string, operand: string, t: TensorType, shape: readonly Dim[]): void {
  if (!shapeEquals(t.shape, shape)) throw new ShapeError(op, `${operand}: expected ${showShape(shape)}, got ${showType(t)}`);
}

/** The extent of the last axis; scalars have none. */
export function lastExtent(op: string, operand: string, t: TensorType): Dim {
  const n = t.shape.at(-1);
  if (n === undefined) throw new ShapeError(op, `${operand}: expected at least one axis, got ${showType(t)}`);
  return n;
}

/** How many heads of `headDim` fill the last axis exactly. */
export function headsOf(op: string, operand: string, t: TensorType, headDim: number): Dim {
  const n = headDim > 0 ? divDims(lastExtent(op, operand, t), headDim) : undefined;
  if (n === undefined)
    throw new ShapeError(op, `${operand}: expected a last extent that is a multiple of headDim ${headDim}, got ${showType(t)}`);
  return n;
}

/** Each axis is 1 or the extent of `shape` that it is right-aligned with. */
export function expectBroadcast(op: string, operand: string, t: TensorType, shape: readonly Dim[]): void {
  const shift = shape.length - t.shape.length;
  const fits = shift >= 0 && t.shape.every((d, i) => d === 1 || dimEquals(d, shape[i + shift] ?? 1));
  if (!fits) throw new ShapeError(op, `${operand}: expected a shape that broadcasts to ${showShape(shape)}, got ${showType(t)}`);
}

export const product = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** A numeric shape cut at `axis`: element j of lane (o, i) lies at (o * length + j) * inner + i. */
export function lanes(shape: readonly number[], axis: number): { outer: number; length: number; inner: number } {
  const a = axis < 0 ? axis + shape.length : axis;
  return { outer: product(shape.slice(0, a)), length: shape[a] ?? 1, inner: product(shape.slice(a + 1)) };
}

export type Floats = Float32Array | Float64Array;

/** Inner product of two runs of n elements, in f64. */
export function dot(a: Floats, ai: number, b: Floats, bi: number, n: number): number {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += (a[ai + i] ?? 0) * (b[bi + i] ?? 0);
  return sum;
}
