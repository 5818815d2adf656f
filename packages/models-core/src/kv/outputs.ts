import type { Tensor } from "@rlxjs/ir";
import { checkCount, KvStateError } from "./errors.ts";
import { KvCacheState } from "./kv-state.ts";
import { copyRows, f32Of, type KvRows } from "./row-buffer.ts";

/** Outputs of a decode or prefill graph, told apart. */
export interface SplitOutputs<T> {
  readonly logits: T;
  readonly layersK: readonly T[];
  readonly layersV: readonly T[];
  /** What follows keys and values. */
  readonly aux: readonly T[];
}

/** Tell `[logits, k_0, v_0, k_1, v_1, ...]` apart: tensors, buffers or names. KvStateError for another number of them. */
export function splitDecodeLogitsKv<T>(outputs: readonly T[], layers: number): SplitOutputs<T> {
  return splitDecodeLogitsKvAux(outputs, layers, 0);
}

/** The same with `aux` further outputs at the end. */
export function splitDecodeLogitsKvAux<T>(outputs: readonly T[], layers: number, aux: number): SplitOutputs<T> {
  const kv = 2 * checkCount("layers", layers);
  const [logits, ...rest] = outputs;
  if (logits === undefined) throw new KvStateError("outputs: expected the logits first, got nothing");
  if (rest.length !== kv + checkCount("aux", aux))
    throw new KvStateError(
      `outputs after the logits: expected ${kv} keys and values (${layers} layers)${aux ? ` and ${aux} more` : ""}, got ${rest.length}`,
    );
  const every = (parity: number): T[] => rest.slice(0, kv).filter((_, i) => i % 2 === parity);
  return { logits, layersK: every(0), layersV: every(1), aux: rest.slice(kv) };
}

/** Positions of a prompt, from the length of a key or value output [batch, seq, kvDim]. */
export function inferPrefillKvSeq(length: number, kvDim: number, batch = 1): number {
  const row = checkCount("kvDim", kvDim, 1) * checkCount("batch", batch, 1);
  if (checkCount("prefill output: length", length) % row !== 0)
    throw new KvStateError(`prefill output: expected whole rows of ${batch} x ${kvDim} elements, got ${length} elements`);
  return length / row;
}

/**
 * The cache after a prefill, from its outputs `[logits, k_0, v_0, ...]` with keys and values [batch, seq, kvDim]; widths may differ between
 * layers. f32 rows are taken over, others converted. `Object.values` of what a run returned is in this order.
 */
export function kvFromPrefillOutputs(outputs: readonly Tensor[], { layers, aux = 0 }: { layers: number; aux?: number }): KvCacheState {
  const { layersK, layersV } = splitDecodeLogitsKvAux(outputs, layers, aux);
  const [batch = 1, pastLen = 0] = layersK[0]?.shape ?? [];
  for (const [i, k] of layersK.entries())
    for (const [what, { shape }] of [["k", k] as const, ["v", layersV[i] ?? k] as const])
      if (shape.length !== 3 || shape[0] !== batch || shape[1] !== pastLen || shape[2] !== k.shape[2])
        throw new KvStateError(`prefill output ${what}_${i}: expected [${batch}, ${pastLen}, ${k.shape[2]}], got [${shape}]`);
  const kvDims = layersK.map((k) => k.shape[2] ?? 0);
  return new KvCacheState({ batch, kvDims, pastLen, layersK: layersK.map(f32Of), layersV: layersV.map(f32Of) });
}

/**
 * The rows of a sequence out of a decode output [batch, slots, kvDim] in which padding lies between the past and the new rows: the first
 * `pastLenAfter - newRows` rows and the last `newRows` of each sequence. A buffer with no more than `pastLenAfter` rows has no padding and is given
 * back at that length.
 */
export function compactBucketedKvBuffer(
  buffer: KvRows,
  { pastLenAfter, kvDim, batch = 1, newRows = 1 }: { pastLenAfter: number; kvDim: number; batch?: number; newRows?: number },
): KvRows {
  const slots = inferPrefillKvSeq(buffer.length, kvDim, batch);
  const rows = Math.min(slots, checkCount("pastLenAfter", pastLenAfter));
  checkCount("newRows", newRows, 0, rows);
  const out = new Float32Array(batch * rows * kvDim);
  const past = rows - newRows;
  copyRows(out, buffer, { batch, width: kvDim, from: 0, to: 0, count: past });
  const from = slots > pastLenAfter ? slots - newRows : past;
  copyRows(out, buffer, { batch, width: kvDim, from, to: past, count: newRows });
  return out;
}
