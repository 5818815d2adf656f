import { type Builder, GraphBuilder, type Value, type ValueLike } from "../builder.ts";
import type { Tensor } from "../tensor.ts";
import { namedForms } from "../named-args.ts";
import { copyTensors, linearizeTensors } from "./eager.ts";
import { copyValues, linearizeValues } from "./graph.ts";
import { type KvCopyName, type KvCopyOperands, type KvCopySpec, type KvEagerArgs, type KvGraphArgs, kvCopySpecs } from "./table.ts";

export { type KvNameRow, kvNameRows, renderKvNames } from "./docs.ts";
export { type KvCopyName, type KvCopySpec, kvCopySpecs } from "./table.ts";

/**
 * A copy into a KV cache, by the name and with the arguments of the reference.
 *
 * On tensors: copies in place. Only the number of elements counts, not the tensors' shapes; they may hold more than is needed. Zero tokens,
 * heads or dims are no error and do nothing.
 * @throws ShapeError for a source or cache that is too small or of another dtype, or a cache of 2^32 elements or more; RunError for
 * positions, tokens or slots that do not fit, or memory that overlaps; AttrError for arguments that are missing or no natural numbers.
 * The caches are then unchanged.
 *
 * On a builder: the same as one node, `kv_write` or `kv_write_pair`. Sources have the reference's shape; caches are state values, token
 * [1, capacity, rowSize] or head [sequences, nHeads, capacity, headDim]; gives their next versions.
 */
export interface KvCopy<N extends KvCopyName> {
  (args: KvCopyOperands<N, Tensor> & KvEagerArgs<N>): void;
  (
    g: Builder,
    args: KvCopyOperands<N, Value> & KvGraphArgs<N>,
  ): (typeof kvCopySpecs)[N] extends { readonly dual: true } ? { readonly k: Value; readonly v: Value } : Value;
}

/** All of them by name. */
export const kvCopies = namedForms<KvCopySpec>(kvCopySpecs, copyTensors, (g, op, spec, args) => {
  const [k, v] = copyValues(g, op, spec, args);
  return v ? { k, v } : k;
}) as { readonly [N in KvCopyName]: KvCopy<N> };

export const {
  kvCacheCopy,
  kvCacheCopyF32,
  kvCacheCopyBatchF32,
  kvCacheCopyBatchF32ToF16,
  kvCacheCopySeqF32,
  kvCacheCopySeqF32ToF16,
  kvCacheCopySeqBf16,
  kvCacheCopySeqF32Dual,
  kvCacheCopySeqF32ToF16Dual,
  kvCacheCopyBatchF32Dual,
  kvCacheCopyBatchF32ToF16Dual,
  kvCacheCopyBatchF32ToF16Batched,
  kvCacheCopySeqBf16ToBf16HeadMajor,
} = kvCopies;

/**
 * Puts the `historyLen` newest rows of a ring that end before position `logicalEnd` in order, into rows 0 on of `dst`. On tensors of any
 * dtype, seen as bytes: src [nHeads, srcCap, rowBytes], dst [nHeads, dstCap, rowBytes]; in a graph, a `kv_linearize_ring`. Errors as `KvCopy`.
 */
export function kvCacheLinearizeRing(args: KvLinearizeArgs): void;
export function kvCacheLinearizeRing(g: Builder, args: KvLinearizeValues): Value;
export function kvCacheLinearizeRing(first: Builder | KvLinearizeArgs, args?: KvLinearizeValues): Value | undefined {
  if (first instanceof GraphBuilder) return linearizeValues(first as Builder, "kvCacheLinearizeRing", args);
  linearizeTensors("kvCacheLinearizeRing", first);
  return undefined;
}

export interface KvLinearizeArgs {
  readonly src: Tensor;
  readonly dst: Tensor;
  readonly nHeads: number;
  readonly srcCap: number;
  readonly dstCap: number;
  readonly rowBytes: number;
  readonly historyLen: number;
  /** Absolute position behind the newest row. */
  readonly logicalEnd: number;
}
export interface KvLinearizeValues {
  /** [..., srcCap, R]: the ring. */
  readonly src: Value;
  /** [..., dstCap, R]: a state. */
  readonly dst: Value;
  readonly historyLen: ValueLike;
  readonly logicalEnd: ValueLike;
}
export * from "./quantize.ts";
export { kvQuantizeRows } from "./quantize-docs.ts";
