import { type Dim, dimEquals } from "./dim.ts";
import type { DType } from "./dtype.ts";
import { AttrError, ShapeError } from "./errors.ts";
import type { TensorType } from "./op.ts";

export const showShape = (shape: readonly Dim[]): string => `[${shape.join(", ")}]`;
export const showType = (t: TensorType): string => `${t.dtype}${showShape(t.shape)}`;

/** NumPy broadcasting, right-aligned: extents are equal, or one of them is the number 1. */
export function broadcastShapes(op: string, ...shapes: readonly (readonly Dim[])[]): Dim[] {
  const rank = Math.max(0, ...shapes.map((s) => s.length));
  return Array.from({ length: rank }, (_, i) => {
    let extent: Dim = 1;
    for (const s of shapes) {
      const d = s[s.length - rank + i] ?? 1;
      if (d === 1 || dimEquals(d, extent)) continue;
      if (extent !== 1) throw new ShapeError(op, `cannot broadcast ${shapes.map(showShape).join(" with ")}: ${extent} against ${d}`);
      extent = d;
    }
    return extent;
  });
}

/** A negative axis counts from the end; out of range is an error. */
export function resolveAxis(op: string, axis: number, rank: number): number {
  const a = axis < 0 ? axis + rank : axis;
  if (rank === 0) throw new AttrError(op, `axis: expected an operand with axes, got a scalar and axis ${axis}`);
  if (!Number.isInteger(a) || a < 0 || a >= rank) throw new AttrError(op, `axis: expected -${rank} to ${rank - 1}, got ${axis}`);
  return a;
}

/** Dtype rule of ops whose operands and result agree. */
export const sameOperands =
  (op: string) =>
  (dtypes: readonly DType[]): DType => {
    const [first] = dtypes;
    if (first === undefined || dtypes.some((d) => d !== first))
      throw new ShapeError(op, `expected operands of one dtype, got ${dtypes.join(" and ")}: cast one of them`);
    return first;
  };

/** All operands must have the dtype of the first. */
export const sameDType = (op: string, types: readonly TensorType[]): DType => sameOperands(op)(types.map((t) => t.dtype));

/** Row-major strides in elements. */
export function stridesOf(shape: readonly number[]): number[] {
  const out = new Array<number>(shape.length).fill(1);
  for (let i = shape.length - 2; i >= 0; i--) out[i] = (out[i + 1] ?? 1) * (shape[i + 1] ?? 1);
  return out;
}

/** Equal extents on every axis but one. */
export const shapeAgrees = (a: readonly Dim[], b: readonly Dim[], except: number): boolean =>
  a.length === b.length && a.every((d, i) => i === except || dimEquals(d, b[i] ?? -1));
