import { byteLength, type DType } from "../dtype.ts";
import { ShapeError } from "../errors.ts";
import { product } from "../ops/rules.ts";
import { showShape } from "../shape.ts";
import { Tensor } from "../tensor.ts";

// Tensors of named forms, of which only memory and dtype count.

export const ints = (list: readonly number[]): Tensor => Tensor.from("i64", [list.length], list);
export const int = (value: number): Tensor => Tensor.from("i64", [], [value]);

/** @throws ShapeError for a tensor of none of these dtypes. */
export function expectDType(op: string, name: string, t: Tensor, dtypes: readonly DType[]): void {
  if (!dtypes.includes(t.dtype)) throw new ShapeError(op, `${name}: expected dtype ${dtypes.join(" or ")}, got ${t.dtype}`);
}

/** The first elements of a tensor's memory in another shape. */
export function part(op: string, name: string, t: Tensor, dtype: DType, shape: readonly number[]): Tensor {
  const bytes = byteLength(dtype, shape);
  if (t.bytes.length < bytes)
    throw new ShapeError(
      op,
      dtype === t.dtype
        ? `${name}: expected at least ${product(shape)} elements for ${showShape(shape)}, got ${t.size}`
        : `${name}: expected at least ${bytes} bytes for ${showShape(shape)}, got ${t.bytes.length}`,
    );
  return Tensor.fromBytes(dtype, shape, t.bytes.subarray(0, bytes));
}
