import { RlxError } from "@rlxjs/ir";
import type { StateSet } from "@rlxjs/runtime";
import type { NextToken, TokenSequence } from "../generation/sequence.ts";
import type { DecoderModel } from "./decoder-model.ts";

/** A token sequence whose keys and values live in a StateSet of the device. Truncating it is a change of a number. */
export class KvSequence implements TokenSequence, Disposable {
  readonly capacity: number;
  readonly #model: DecoderModel;
  readonly #state: StateSet;
  readonly #tokens: number[] = [];
  /** Reused by every read: a token allocates nothing of the vocabulary's size. */
  #logits: Float32Array<ArrayBuffer> | undefined;

  constructor(model: DecoderModel, state: StateSet) {
    this.#model = model;
    this.#state = state;
    this.capacity = model.capacity;
  }

  get tokens(): readonly number[] {
    return this.#tokens;
  }

  truncate(length: number): void {
    if (!Number.isSafeInteger(length) || length < 0 || length > this.#tokens.length)
      throw new RlxError("ERR_TRUNCATE", `truncate: expected a length of 0 to ${this.#tokens.length}, got ${length}`);
    this.#tokens.length = length;
  }

  async append(
    ids: readonly number[],
    options: { readonly logits: boolean; readonly signal?: AbortSignal | undefined },
  ): Promise<NextToken> {
    const past = this.#tokens.length;
    this.#model.checkTokens(ids, past);
    const step = this.#model.chunk("prefill");
    let at = 0;
    // All but the last run only fill the cache.
    for (; ids.length - at > step; at += step) await this.#run(ids.slice(at, at + step), past + at, [], options.signal);
    let result: NextToken;
    if (options.logits) {
      this.#logits ??= new Float32Array(this.#model.vocabSize);
      await this.#run(ids.slice(at), past + at, ["logits"], options.signal, { logits: this.#logits });
      result = { logits: this.#logits };
    } else {
      const { next } = await this.#run(ids.slice(at), past + at, ["next"], options.signal);
      result = { greedy: next?.get(0) ?? 0 };
    }
    // Only now: a run that failed has written rows behind the tokens, which nothing reads before they are written again.
    for (const id of ids) this.#tokens.push(id);
    return result;
  }

  #run(
    ids: readonly number[],
    pos: number,
    read: readonly string[],
    signal?: AbortSignal,
    into: Record<string, Float32Array<ArrayBuffer>> = {},
  ) {
    const inputs = { input_ids: Int32Array.from(ids), pos };
    return this.#model.graphs.run(ids.length === 1 ? "decode" : "prefill", { inputs, state: this.#state, read, into, signal });
  }

  [Symbol.dispose](): void {
    this.#state[Symbol.dispose]();
  }
}
