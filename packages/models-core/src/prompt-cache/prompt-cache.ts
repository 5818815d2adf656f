import { commonPrefix, type SequenceSnapshot } from "../generation/sequence.ts";
import { PromptCacheError } from "./errors.ts";

/** A prompt that has been run. Not to be changed. */
export interface PromptEntry {
  /** Its tokens and their rows of the KV cache. */
  readonly snapshot: SequenceSnapshot;
  /** Logits [vocab] behind its last token. */
  readonly logits: Float32Array<ArrayBuffer>;
}

export interface PromptCacheOptions {
  /** Most bytes of all entries together. Default 256 MiB. */
  readonly maxBytes?: number;
  /** Of the model that the entries belong to (`LanguageModel.fingerprint`). Default: that of the first model that uses the cache. */
  readonly fingerprint?: string;
}

export interface PromptCacheStats {
  readonly entries: number;
  readonly bytes: number;
  readonly maxBytes: number;
  /** Lookups that found an entry, and that found none. */
  readonly hits: number;
  readonly misses: number;
  /** Entries that made room for others. */
  readonly evictions: number;
}

/** Bytes that an entry takes: rows, logits, and 4 per token. */
export const entryBytes = ({ snapshot, logits }: PromptEntry): number => snapshot.bytes + logits.byteLength + 4 * snapshot.tokens.length;

/**
 * Prompts that have been run, with their rows of the KV cache: a prompt that begins with one of them need not be run from its start. Least
 * recently used entries make room for new ones. Models of one fingerprint may share a cache.
 */
export class PromptCache {
  readonly maxBytes: number;
  /** Least recently used first. */
  #entries: PromptEntry[] = [];
  #fingerprint: string | undefined;
  #counts = { hits: 0, misses: 0, evictions: 0 };

  constructor({ maxBytes = 2 ** 28, fingerprint }: PromptCacheOptions = {}) {
    if (!(maxBytes >= 0)) throw new PromptCacheError(`maxBytes: expected a number >= 0, got ${maxBytes}`);
    this.maxBytes = maxBytes;
    this.#fingerprint = fingerprint;
  }

  /** Undefined until a model uses the cache. */
  get fingerprint(): string | undefined {
    return this.#fingerprint;
  }
  /** All entries, least recently used first. */
  get entries(): readonly PromptEntry[] {
    return this.#entries;
  }
  get bytes(): number {
    return this.#entries.reduce((sum, entry) => sum + entryBytes(entry), 0);
  }

  /** From now on the entries are of the model of this fingerprint; another one than before is a PromptCacheError. */
  bind(fingerprint: string): void {
    this.#fingerprint ??= fingerprint;
    if (this.#fingerprint !== fingerprint)
      throw new PromptCacheError(
        `expected the entries of the model ${fingerprint} (its weights, config, cache formats and kernels), got those of ${this.#fingerprint}`,
      );
  }

  /** The longest entry whose tokens are all at the beginning of `tokens`. */
  lookup(tokens: readonly number[]): PromptEntry | undefined {
    let best: PromptEntry | undefined;
    for (const entry of this.#entries) {
      const stored = entry.snapshot.tokens;
      if (stored.length > (best?.snapshot.tokens.length ?? 0) && commonPrefix(stored, tokens) === stored.length) best = entry;
    }
    this.#counts[best ? "hits" : "misses"]++;
    if (best) this.#touch(best);
    return best;
  }

  /** Whether these very tokens are an entry; it counts as used. */
  has(tokens: readonly number[]): boolean {
    const known = this.#find(tokens);
    if (known) this.#touch(known);
    return known !== undefined;
  }

  /** Put an entry in, in place of one of the same tokens. False: it is larger than the whole cache and was left out. */
  insert(entry: PromptEntry): boolean {
    const { tokens } = entry.snapshot;
    if (tokens.length === 0) throw new PromptCacheError("entry: expected at least one token, got none");
    const bytes = entryBytes(entry);
    if (bytes > this.maxBytes) return false;
    const same = this.#find(tokens);
    this.#entries = this.#entries.filter((known) => known !== same);
    for (let used = this.bytes; used + bytes > this.maxBytes; this.#counts.evictions++) {
      const oldest = this.#entries.shift();
      if (!oldest) break;
      used -= entryBytes(oldest);
    }
    this.#entries.push(entry);
    return true;
  }

  /** Forget all entries. */
  clear(): void {
    this.#entries = [];
  }

  stats(): PromptCacheStats {
    return { entries: this.#entries.length, bytes: this.bytes, maxBytes: this.maxBytes, ...this.#counts };
  }

  #find(tokens: readonly number[]): PromptEntry | undefined {
    return this.#entries.find(({ snapshot }) => {
      const stored = snapshot.tokens;
      return stored.length === tokens.length && commonPrefix(stored, tokens) === tokens.length;
    });
  }

  #touch(entry: PromptEntry): void {
    this.#entries = [...this.#entries.filter((other) => other !== entry), entry];
  }
}
