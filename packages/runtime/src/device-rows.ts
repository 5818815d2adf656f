import { byteLength, type DType, isBlock } from "@rlxjs/ir";

type Bytes = Uint8Array<ArrayBuffer>;

/** A dense tensor as rows along one axis: `outer` blocks of `extent` rows of `rowBytes` bytes. */
export interface RowLayout {
  readonly outer: number;
  readonly extent: number;
  readonly rowBytes: number;
}

const product = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** Rows along `axis`; undefined: there is no such axis, or a row of a block format would be a part of a block. */
export function rowLayout(dtype: DType, shape: readonly number[], axis: number): RowLayout | undefined {
  const extent = Number.isInteger(axis) && axis >= 0 ? shape[axis] : undefined;
  if (extent === undefined || (isBlock(dtype) && axis === shape.length - 1)) return undefined;
  return { outer: product(shape.slice(0, axis)), extent, rowBytes: byteLength(dtype, shape.slice(axis + 1)) };
}

/** Copy rows [srcRow, srcRow + rows) of every block to rows from `dstRow` on; returns the bytes. Both sides have the same blocks and rows. */
export function copyRows(
  target: { readonly bytes: Bytes; readonly layout: RowLayout; readonly row: number },
  source: { readonly bytes: Bytes; readonly layout: RowLayout; readonly row: number },
  rows: number,
): number {
  const { outer, rowBytes } = source.layout;
  for (let block = 0; block < outer; block++) {
    const from = (block * source.layout.extent + source.row) * rowBytes;
    target.bytes.set(source.bytes.subarray(from, from + rows * rowBytes), (block * target.layout.extent + target.row) * rowBytes);
  }
  return outer * rows * rowBytes;
}

/**
 * Change the number of rows per block in place, keeping the first ones; new rows are zero. One block stays where it is, so that a batch of
 * one grows at no cost; others move. Returns the bytes that were moved.
 */
export function resizeRows(bytes: Bytes, { outer, extent, rowBytes }: RowLayout, rows: number): number {
  const kept = Math.min(extent, rows) * rowBytes;
  const move = (block: number): void => {
    bytes.copyWithin(block * rows * rowBytes, block * extent * rowBytes, block * extent * rowBytes + kept);
    bytes.fill(0, block * rows * rowBytes + kept, (block + 1) * rows * rowBytes);
  };
  // Growing blocks move up, the last one first; shrinking ones down, the first one first.
  if (rows > extent) for (let block = outer - 1; block >= 0; block--) move(block);
  else for (let block = 0; block < outer; block++) move(block);
  return rows === extent ? 0 : (outer - 1) * kept;
}

/** Make the rows of every block behind the first `rows` zeros. */
export function clearRows(bytes: Bytes, { outer, extent, rowBytes }: RowLayout, rows: number): void {
  for (let block = 0; block < outer; block++) bytes.fill(0, (block * extent + rows) * rowBytes, (block + 1) * extent * rowBytes);
}
