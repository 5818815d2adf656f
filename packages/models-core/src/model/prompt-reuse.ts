import { commonPrefix, type SnapshotSequence } from "../generation/sequence.ts";
import { PromptCacheError } from "../prompt-cache/errors.ts";
import type { PromptCache } from "../prompt-cache/prompt-cache.ts";

/** What of a prompt a model takes from its prompt cache, and puts into it. */
export class PromptReuse {
  readonly cache: PromptCache;
  readonly #vocabSize: number;
  readonly #bytesPerToken: number;

  constructor(cache: PromptCache, { vocabSize, bytesPerToken }: { readonly vocabSize: number; readonly bytesPerToken: number }) {
    this.cache = cache;
    this.#vocabSize = vocabSize;
    this.#bytesPerToken = bytesPerToken;
  }

  /**
   * Put the longest stored beginning of the prompt into the sequence, unless it holds as much already. Gives the logits [vocab] behind the
   * prompt when all of it is stored.
   */
  async restore(sequence: SnapshotSequence, prompt: readonly number[]): Promise<Float32Array | undefined> {
    const entry = this.cache.lookup(prompt);
    if (!entry) return undefined;
    const { snapshot, logits } = entry;
    if (logits.length !== this.#vocabSize)
      throw new PromptCacheError(`entry: expected logits of ${this.#vocabSize} tokens, got ${logits.length}`);
    if (snapshot.tokens.length > commonPrefix(sequence.tokens, prompt)) await sequence.restore(snapshot);
    return snapshot.tokens.length === prompt.length ? logits : undefined;
  }

  /** Store a prompt that the sequence holds, with the logits behind it. */
  async keep(sequence: SnapshotSequence, prompt: readonly number[], logits: Float32Array<ArrayBuffer>): Promise<void> {
    // What does not fit is not copied first.
    if (this.cache.has(prompt) || prompt.length * this.#bytesPerToken > this.cache.maxBytes) return;
    this.cache.insert({ snapshot: await sequence.snapshot(prompt.length), logits });
  }
}
