import { dimMax, Tensor } from "@rlxjs/ir";
import { KvStateError } from "./errors.ts";
import type { CacheSlot } from "./graph-layout.ts";
import { f32Of, type KvRows } from "./row-buffer.ts";

/** Host rows [batch, rows, kvDim] as a tensor of a graph's cache, in its dtype and with its order of axes. */
export function tensorOfRows(slot: CacheSlot, batch: number, data: KvRows): Tensor {
  const { type, rowAxis } = slot;
  checkPlain(slot);
  const [heads, width] = headsOf(slot);
  const rows = data.length / (batch * heads * width);
  const ordered = rowAxis === 2 ? swapAxes(data, batch, rows, heads, width) : data;
  const shape = rowAxis === 2 ? [batch, heads, rows, width] : [batch, rows, width];
  return type.dtype === "f32" ? new Tensor("f32", shape, ordered) : Tensor.from(type.dtype, shape, ordered);
}

/** Rows of a graph's cache, as `tensorOfRows` orders them, as host rows [batch, rows, kvDim]. */
export function rowsOfTensor(slot: CacheSlot, tensor: Tensor): KvRows {
  checkPlain(slot);
  const data = f32Of(tensor);
  const [heads, width] = headsOf(slot);
  const [batch = 1] = tensor.shape;
  return slot.rowAxis === 2 ? swapAxes(data, batch, heads, tensor.shape[2] ?? 0, width) : data;
}

/** Whether a row is the elements of the heads, one after the other, in a dtype that f32 rows convert to. */
export const isPlain = ({ type: { dtype } }: CacheSlot): boolean => dtype === "f32" || dtype === "f16" || dtype === "bf16";

/** Refuse caches whose rows cannot come from the host or go to it. */
export function checkPlain(slot: CacheSlot): void {
  if (!isPlain(slot))
    throw new KvStateError(
      `${slot.name}: expected f32, f16 or bf16 to exchange rows with the host, got ${slot.type.dtype}: keep them on the device`,
    );
}

const headsOf = ({ type: { shape }, rowAxis }: CacheSlot): readonly [heads: number, width: number] =>
  rowAxis === 2 ? [dimMax(shape[1] ?? 1), dimMax(shape[3] ?? 1)] : [1, dimMax(shape[2] ?? 1)];

/** [batch, a, b, width] to [batch, b, a, width]. */
function swapAxes(data: KvRows, batch: number, a: number, b: number, width: number): KvRows {
  if (a === 1 || b === 1) return data;
  const out = new Float32Array(data.length);
  for (let n = 0; n < batch; n++)
    for (let i = 0; i < a; i++)
      for (let j = 0; j < b; j++) {
        const from = ((n * a + i) * b + j) * width;
        out.set(data.subarray(from, from + width), ((n * b + j) * a + i) * width);
      }
  return out;
}
