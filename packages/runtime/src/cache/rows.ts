import type { TensorData } from "@rlxjs/ir";
import { RowsError } from "./errors.ts";

const isCount = (n: number): boolean => Number.isSafeInteger(n) && n >= 0;

/** Rows of `inner` elements in so many elements; `where` names the data in errors. */
export function countRows(where: string, elements: number, inner: number): number {
  if (!isCount(inner) || inner === 0) throw new RowsError(where, `inner: expected a whole number of elements per row >= 1, got ${inner}`);
  if (elements % inner !== 0) throw new RowsError(where, `expected rows of ${inner} elements, got ${elements} elements`);
  return elements / inner;
}

/**
 * `data`, rows of `inner` elements of its typed array, with rows of zeros behind it: `upper` rows. The data itself when it has as many
 * already. RowsError when `inner` is 0, when the rows are not whole, or when they exceed `upper`.
 */
export function padRows<T extends TensorData>(data: T, inner: number, upper: number): T {
  const actual = countRows("padRows", data.length, inner);
  if (!isCount(upper) || actual > upper) throw new RowsError("padRows", `expected at most ${upper} rows, got ${actual}: they exceed upper`);
  if (actual === upper) return data;
  const padded = new (data.constructor as new (length: number) => T)(upper * inner);
  new Uint8Array(padded.buffer).set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  return padded;
}

/** The first `actual` rows of `data`, a view. RowsError when `inner` is 0, when the rows are not whole, or when there are fewer. */
export function sliceRows<T extends TensorData>(data: T, inner: number, actual: number): T {
  const upper = countRows("sliceRows", data.length, inner);
  if (!isCount(actual) || actual > upper)
    throw new RowsError("sliceRows", `expected at most ${upper} rows, got ${actual}: they exceed upper`);
  return data.subarray(0, actual * inner) as T;
}
