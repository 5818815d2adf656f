import { dimEquals, shapeEquals } from "../dim.ts";
import { AttrError, ShapeError } from "../errors.ts";
import { maxAbs } from "../magnitude.ts";
import type { TensorType } from "../op.ts";
import { sameDType, showType } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { expectRank, headsOf, product } from "./rules.ts";

/** What turns, and the cosines and sines of its angles. */
export interface RopeOperands<V> {
  readonly x: V;
  readonly cos: V;
  readonly sin: V;
}

/** The type rules of a rotation, whose operand x is called `operand`; the result has its type. */
export function inferRope(op: string, operand: string, { x, cos, sin }: RopeOperands<TensorType>, headDim: number): TensorType {
  expectRank(op, operand, x, 3);
  headsOf(op, operand, x, headDim);
  sameDType(op, [cos, sin]);
  if (!shapeEquals(cos.shape, sin.shape)) throw new ShapeError(op, `sin: expected the shape of cos ${showType(cos)}, got ${showType(sin)}`);
  const want = x.shape.slice(cos.shape.length === 3 ? 0 : 1, 2);
  if (cos.shape.length !== want.length + 1 || !want.every((d, i) => dimEquals(d, cos.shape[i] ?? -1)))
    throw new ShapeError(op, `cos: expected [${x.shape[1]}, R/2] or [${x.shape[0]}, ${x.shape[1]}, R/2], got ${showType(cos)}`);
  const half = cos.shape.at(-1);
  if (typeof half !== "number" || 2 * half > headDim)
    throw new AttrError(op, `headDim: expected at least twice the last extent of cos ${showType(cos)}, got ${headDim}`);
  return x;
}

/** How large a turned value can be. */
export const rotatedMagnitude = ({ x, cos, sin }: RopeOperands<Tensor>): number => maxAbs(x) * (maxAbs(cos) + maxAbs(sin));

/** The rotation, in f64, rounded once to the dtype of out. */
export function rotateHeads(
  { x, cos, sin }: RopeOperands<Tensor>,
  { headDim, interleaved }: { readonly headDim: number; readonly interleaved: boolean },
  out: Tensor,
): void {
  const [, s = 0, width = 0] = x.shape;
  const half = cos.shape.at(-1) ?? 0;
  const [xv, cv, sv] = [x.values(), cos.values(), sin.values()];
  const perBatch = cos.shape.length === 3;
  const result = Float64Array.from(xv);
  for (let row = 0; row < product(x.shape.slice(0, 2)); row++) {
    const table = (perBatch ? row : row % s) * half;
    for (let head = row * width; head < (row + 1) * width; head += headDim)
      for (let i = 0; i < half; i++) {
        const a = head + (interleaved ? 2 * i : i);
        const b = head + (interleaved ? 2 * i + 1 : i + half);
        const [c, sn] = [cv[table + i] ?? 0, sv[table + i] ?? 0];
        result[a] = (xv[a] ?? 0) * c - (xv[b] ?? 0) * sn;
        result[b] = (xv[b] ?? 0) * c + (xv[a] ?? 0) * sn;
      }
  }
  for (let i = 0; i < result.length; i++) out.set(i, result[i] ?? 0);
}
