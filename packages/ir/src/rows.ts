import { dequantize } from "./blocks.ts";
import { byteLength, isBlock } from "./dtype.ts";
import { Tensor } from "./tensor.ts";

/** Slab `index` of the first axis, over the same memory. */
export function slab(t: Tensor, index: number): Tensor {
  const shape = t.shape.slice(1);
  const bytes = byteLength(t.dtype, shape);
  return Tensor.fromBytes(t.dtype, shape, t.bytes.subarray(index * bytes, (index + 1) * bytes));
}

/** One row of a weight [n, k] as floats, without decoding the others. */
export function rowValues(t: Tensor, index: number): Float32Array | Float64Array {
  const row = slab(t, index);
  return isBlock(row.dtype) ? dequantize(row.dtype, row.bytes) : row.values();
}
