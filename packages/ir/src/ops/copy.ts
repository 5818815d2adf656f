import { byteLength } from "../dtype.ts";
import type { Tensor } from "../tensor.ts";

/**
 * Copy into `out` row-major from a strided view of `x`; axis d of `out` advances `strides[d]` elements of x. When `wholeRows`,
 * the last axis is the same in both and is copied as it is, which is what block formats need.
 */
export function copyStrided(x: Tensor, out: Tensor, strides: readonly number[], wholeRows: boolean): void {
  const last = wholeRows ? (out.shape.at(-1) ?? 1) : 1;
  const shape = wholeRows ? out.shape.slice(0, -1) : out.shape;
  if (out.size === 0) return;
  const unit = byteLength(x.dtype, [last]);
  const source = x.bytes;
  const target = out.bytes;
  const count = out.size / last;
  const index = new Array<number>(shape.length).fill(0);
  let at = 0;
  for (let i = 0; i < count; i++) {
    const from = (at / last) * unit;
    for (let b = 0; b < unit; b++) target[i * unit + b] = source[from + b] ?? 0;
    for (let d = shape.length - 1; d >= 0; d--) {
      const next = (index[d] ?? 0) + 1;
      const wrap = next === shape[d];
      index[d] = wrap ? 0 : next;
      at += (strides[d] ?? 0) * (wrap ? 1 - next : 1);
      if (!wrap) break;
    }
  }
}

/** Copy a run of `count` slabs along `axis` from x at `from` to out at `to`; the other extents agree. */
export function copySlabs(x: Tensor, from: number, out: Tensor, to: number, count: number, axis: number): void {
  const bytesPer = (t: Tensor): number => byteLength(t.dtype, t.shape.slice(axis));
  const [xRow, outRow] = [bytesPer(x), bytesPer(out)];
  const [xUnit, outUnit] = [xRow / (x.shape[axis] ?? 1), outRow / (out.shape[axis] ?? 1)];
  if (count === 0 || xRow === 0 || outRow === 0) return;
  const outer = x.shape.slice(0, axis).reduce((a, b) => a * b, 1);
  for (let o = 0; o < outer; o++)
    out.bytes.set(x.bytes.subarray(o * xRow + from * xUnit, o * xRow + (from + count) * xUnit), o * outRow + to * outUnit);
}

/** Whether two tensors are the same memory: an op that writes in place has nothing to copy first. */
export const sameMemory = (a: Tensor, b: Tensor): boolean => a.data.buffer === b.data.buffer && a.data.byteOffset === b.data.byteOffset;
