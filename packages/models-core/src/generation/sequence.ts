import type { Tensor } from "@rlxjs/ir";

export interface AppendOptions {
  /** `false`: the greedy id; `true`: the last token's logits; `"all"`: the logits of every token of `ids`, to judge a guessed continuation. */
  readonly logits: boolean | "all";
  readonly signal?: AbortSignal | undefined;
}

/** What a token run gives back, as asked: the id of the first maximum of the last token's logits, or logits. */
export type NextToken =
  | { readonly greedy: number; readonly logits?: undefined }
  /** [vocab], or [ids.length, vocab] for `"all"`. Valid until the next run; may be changed by the caller. */
  | { readonly logits: Float32Array; readonly greedy?: undefined };

/** One token sequence with its KV cache. Tokens are appended; the past is cut by a change of length. */
export interface TokenSequence {
  /** Tokens whose keys and values are in the cache. */
  readonly tokens: readonly number[];
  /** Most tokens that the cache holds. */
  readonly capacity: number;
  /** Run `ids` behind the past. When it rejects, the sequence is as before. */
  append(ids: readonly number[], options: AppendOptions): Promise<NextToken>;
  /** Forget all but the first `length` tokens. */
  truncate(length: number): void;
}

/** The first tokens of a sequence with what the cache holds of them. It outlives the sequence. */
export interface SequenceSnapshot {
  readonly tokens: readonly number[];
  /** By name, the rows of every state that belong to these tokens, in the cache's own format. */
  readonly rows: ReadonlyMap<string, Tensor>;
  /** Of all rows. */
  readonly bytes: number;
}

/** A sequence whose cache can be taken out and put back: byte for byte, so that both continue alike. */
export interface SnapshotSequence extends TokenSequence, Disposable {
  /** A copy of the first `length` tokens (default: all) and their rows. Nothing else may be done with the sequence meanwhile. */
  snapshot(length?: number): Promise<SequenceSnapshot>;
  /** Become the snapshot of a sequence of the same model and cache format; one that does not fit leaves the sequence as it was. Alone, as `snapshot`. */
  restore(snapshot: SequenceSnapshot): Promise<void>;
}

/** Length of the common prefix of two token lists. */
export function commonPrefix(a: readonly number[], b: readonly number[]): number {
  let n = 0;
  while (n < a.length && n < b.length && a[n] === b[n]) n++;
  return n;
}
