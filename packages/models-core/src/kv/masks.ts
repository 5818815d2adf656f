import { showType, Tensor, type TensorType } from "@rlxjs/ir";
import { checkCount, KvStateError } from "./errors.ts";

/** Where the keys of a decode step lie: the past at [first, past), the new ones at [newAt, newAt + newRows). */
export interface KeySpan {
  readonly first: number;
  readonly past: number;
  readonly newAt: number;
  readonly newRows: number;
}

/**
 * Keep mask of a decode step over a past that is padded to `upper`: ones for the rows [0, past) and for the new ones, which lie at
 * `upper` and behind it; zeros for the padding. Length `upper + newRows`.
 */
export function bucketDecodeMask(past: number, upper: number, newRows = 1): Uint8Array<ArrayBuffer> {
  return bucketDecodeMaskWindowed(past, upper, 0, newRows);
}

/** The same with only the newest `window` rows of the past; 0: all of it. Queries that see W keys, their own included, have window W - 1. */
export function bucketDecodeMaskWindowed(past: number, upper: number, window: number, newRows = 1): Uint8Array<ArrayBuffer> {
  checkCount("upper", upper);
  checkCount("past", past, 0, upper);
  checkCount("window", window);
  const mask = new Uint8Array(upper + checkCount("newRows", newRows, 1));
  mask.fill(1, window === 0 ? 0 : Math.max(0, past - window), past);
  mask.fill(1, upper);
  return mask;
}

export interface KvMaskOptions {
  /** Keys that a query sees, its own included. Default: all. */
  readonly window?: number | undefined;
  /** What a float mask means: `keep` (1 seen, 0 not; the default) or `bias` (0 seen, -Infinity not). A bool mask is a keep mask. */
  readonly kind?: "keep" | "bias" | undefined;
  /**
   * Which new rows a new row sees: `causal`, those up to itself (the default); `block`, all; `copied-block`, all, and the first of them is a copy
   * of the past's last token, whose original it does not see, or the token would count twice.
   */
  readonly newRows?: "causal" | "block" | "copied-block" | undefined;
}

/**
 * The mask that an input of this type wants: [batch, keys], or [batch, (heads,) newRows, keys] with a row per query, in which a new row sees
 * the new rows up to itself. Without an axis of queries all new rows are seen: their order is then the graph's business, and a window is
 * for one row only.
 */
export function decodeMask(
  type: TensorType,
  batch: number,
  keys: KeySpan,
  { window, kind = "keep", newRows: see = "causal" }: KvMaskOptions = {},
): Tensor {
  const { first, past, newAt, newRows } = keys;
  const pastEnd = see === "copied-block" ? past - 1 : past;
  const last = type.shape.length - 1;
  const queryAxis = last > 1 ? last - 1 : undefined;
  if (window !== undefined) checkCount("window", window, 1);
  if (window !== undefined && queryAxis === undefined && newRows > 1)
    throw new KvStateError(`mask ${showType(type)}: expected an axis of queries for a window and ${newRows} new rows, got none`);
  const extent = (axis: number): number => (axis === 0 ? batch : axis === last ? newAt + newRows : axis === queryAxis ? newRows : 1);
  const shape = type.shape.map((d, axis) => (typeof d === "number" ? d : extent(axis)));
  const mask = Tensor.zeros(type.dtype, shape);
  const bias = kind === "bias" && type.dtype !== "bool";
  const fill = (value: number, from: number, to: number): void => {
    for (let i = from; i < to; i++) mask.set(i, value);
  };
  if (bias) fill(Number.NEGATIVE_INFINITY, 0, mask.size);
  const length = shape[last] ?? 0;
  if (length < newAt + newRows) throw new KvStateError(`mask ${showType(type)}: expected ${newAt + newRows} keys, got ${length}`);
  const queries = queryAxis === undefined ? 1 : (shape[queryAxis] ?? 1);
  for (let row = 0; row * length < mask.size; row++) {
    const query = queryAxis === undefined ? newRows - 1 : row % queries;
    const behind = window === undefined ? Number.POSITIVE_INFINITY : window - 1;
    fill(bias ? 0 : 1, row * length + Math.max(first, past - Math.max(0, behind - query)), row * length + pastEnd);
    fill(bias ? 0 : 1, row * length + newAt + Math.max(0, query - behind), row * length + newAt + (see === "causal" ? query + 1 : newRows));
  }
  return mask;
}
