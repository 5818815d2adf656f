import { Tensor } from "@rlxjs/ir";
import { checkCount, SpeculativeError } from "./errors.ts";

/*
 * Biases of decoding several tokens in one run (multi-token prediction, parallel box decoding), added to attention scores
 * (`maskKind: "bias"`): 0 where a query row sees a key column, -inf where it does not. For keep masks see `bucketDecodeMask`.
 */

const BLOCKED = Number.NEGATIVE_INFINITY;

/** An additive bias f32 [rows, columns] from what each row sees. */
function biasOf(rows: number, columns: number, sees: (row: number, column: number) => boolean): Tensor {
  const data = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) for (let col = 0; col < columns; col++) if (!sees(row, col)) data[row * columns + col] = BLOCKED;
  return new Tensor("f32", [rows, columns], data);
}

/** Bias f32 [length, length]: a row sees itself and what is before it. */
export function causalBias(length: number): Tensor {
  checkCount("length", length, 0);
  return biasOf(length, length, (row, col) => col <= row);
}

export interface WindowBiasOptions {
  /** Tokens of the past and of the block together. */
  readonly length: number;
  /** Rows at the end that see each other in both directions. */
  readonly block: number;
  /**
   * The past comes from a cache, and the block begins with a copy of its last token: the rows of the block do not see the original, or the
   * token would count twice. Default false.
   */
  readonly cached?: boolean;
}

/** Bias f32 [length, length] of a window whose last `block` tokens are decoded together, causal before them. */
export function windowBias({ length, block, cached = false }: WindowBiasOptions): Tensor {
  checkCount("length", length, 0);
  checkCount("block", block, 1, length);
  const start = length - block;
  return biasOf(length, length, (row, col) => {
    if (row < start) return col <= row;
    return !(cached && col === start - 1);
  });
}

/**
 * Bias f32 [S, S] of ids that hold placeholders (`maskId`) to be predicted. A run of placeholders and the token before it are a block, in
 * which everything sees everything. Outside its block a placeholder is seen by nothing: it says nothing. The rest is causal.
 */
export function textMaskBias(ids: readonly number[], maskId: number): Tensor {
  // Of every placeholder, the first row of its block; of every other token, itself or the block that it begins.
  const blockOf = ids.map((_, i) => i);
  ids.forEach((id, i) => {
    if (id === maskId && i > 0) blockOf[i] = blockOf[i - 1] ?? 0;
  });
  return biasOf(ids.length, ids.length, (row, col) => blockOf[row] === blockOf[col] || (col <= row && ids[col] !== maskId));
}

/** The same bias [rows, columns] for every head: f32 [batch, heads, rows, columns]. */
export function replicateBias(bias: Tensor, { batch = 1, heads }: { readonly batch?: number; readonly heads: number }): Tensor {
  checkCount("batch", batch, 1);
  checkCount("heads", heads, 1);
  const [rows, columns] = squareOrRows(bias);
  const data = new Float32Array(batch * heads * bias.size);
  for (let at = 0; at < data.length; at += Math.max(1, bias.size)) data.set(bias.values(), at);
  return new Tensor("f32", [batch, heads, rows, columns], data);
}

export interface IncrementalBiasOptions {
  /** Tokens in the cache: the first columns. */
  readonly past: number;
  /** Rows of the block, which are also the columns behind the past. */
  readonly queries: number;
  /** Rows that the padded cache holds. Default `past`: no padding. */
  readonly upper?: number;
  readonly heads: number;
  readonly batch?: number;
}

/**
 * The rows of the block out of a full bias [past + queries, past + queries], laid out for a cache that is padded to `upper` rows with the
 * block behind the padding: f32 [batch, heads, queries, upper + queries]. The padding is blocked.
 */
export function incrementalBias(full: Tensor, { past, queries, upper = past, heads, batch = 1 }: IncrementalBiasOptions): Tensor {
  checkCount("past", past, 0);
  checkCount("queries", queries, 1);
  checkCount("upper", upper, past);
  const total = past + queries;
  const [rows, columns] = squareOrRows(full);
  if (rows !== total || columns !== total) throw new SpeculativeError("full bias", `[${total}, ${total}]`, `[${full.shape.join(", ")}]`);
  const values = full.values();
  const width = upper + queries;
  const data = new Float32Array(queries * width).fill(BLOCKED);
  for (let q = 0; q < queries; q++) {
    const row = values.subarray((past + q) * total, (past + q + 1) * total);
    data.set(row.subarray(0, past), q * width);
    data.set(row.subarray(past), q * width + upper);
  }
  return replicateBias(new Tensor("f32", [queries, width], data), { batch, heads });
}

function squareOrRows(bias: Tensor): readonly [number, number] {
  const [rows, columns] = bias.shape;
  if (bias.dtype !== "f32" || bias.shape.length !== 2 || rows === undefined || columns === undefined)
    throw new SpeculativeError("bias", "f32 of rank 2", `${bias.dtype}[${bias.shape.join(", ")}]`);
  return [rows, columns];
}
