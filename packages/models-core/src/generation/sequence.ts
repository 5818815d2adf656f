/** What a token run gives back: the id of the first maximum of the last token's logits, or all of these logits [vocab], as asked. */
export type NextToken =
  | { readonly greedy: number; readonly logits?: undefined }
  /** Valid until the next run; may be changed by the caller. */
  | { readonly logits: Float32Array; readonly greedy?: undefined };

/** One token sequence with its KV cache. Tokens are appended; the past is cut by a change of length. */
export interface TokenSequence {
  /** Tokens whose keys and values are in the cache. */
  readonly tokens: readonly number[];
  /** Most tokens that the cache holds. */
  readonly capacity: number;
  /** Run `ids` behind the past. When it rejects, the sequence is as before. */
  append(ids: readonly number[], options: { readonly logits: boolean; readonly signal?: AbortSignal | undefined }): Promise<NextToken>;
  /** Forget all but the first `length` tokens. */
  truncate(length: number): void;
}

/** Length of the common prefix of two token lists. */
export function commonPrefix(a: readonly number[], b: readonly number[]): number {
  let n = 0;
  while (n < a.length && n < b.length && a[n] === b[n]) n++;
  return n;
}
