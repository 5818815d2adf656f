import type { Tokenizer } from "./tokenizer.ts";

/** Tokens kept as context, so that decoders which treat the start of a text differently see a middle. */
const context = 4;

/**
 * Text from ids as they come. What is handed out is final: a character whose bytes are still incomplete waits for its last byte.
 */
export class StreamDecoder {
  readonly #tokenizer: Tokenizer;
  readonly #skipSpecialTokens: boolean;
  /** Ids that are decoded together; of their text, the first `#emitted` code units have been handed out. */
  #ids: number[] = [];
  #emitted = 0;

  constructor(tokenizer: Tokenizer, options: { readonly skipSpecialTokens?: boolean } = {}) {
    this.#tokenizer = tokenizer;
    this.#skipSpecialTokens = options.skipSpecialTokens ?? true;
  }

  /** Text that this id completes; empty in the middle of a character, and for ids without a token: rows that only pad a model's table. */
  push(id: number): string {
    if (this.#tokenizer.idToToken(id) === undefined) return "";
    this.#ids.push(id);
    const text = this.#decode();
    // An incomplete character decodes to one U+FFFD at the end; everything before it is final.
    const end = text.endsWith("\ufffd") ? text.length - 1 : text.length;
    const fresh = text.slice(this.#emitted, end);
    this.#emitted = Math.max(this.#emitted, end);
    if (end === text.length && this.#ids.length > 4 * context) {
      this.#ids = this.#ids.slice(-context);
      this.#emitted = this.#decode().length;
    }
    return fresh;
  }

  /** What is left at the end; an incomplete character comes out as U+FFFD. The decoder is then as new. */
  flush(): string {
    const rest = this.#decode().slice(this.#emitted);
    this.#ids = [];
    this.#emitted = 0;
    return rest;
  }

  #decode(): string {
    return this.#tokenizer.decode(this.#ids, { skipSpecialTokens: this.#skipSpecialTokens });
  }
}
