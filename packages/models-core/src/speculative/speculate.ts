import type { Sampler } from "../generation/sampler.ts";
import type { TokenSequence } from "../generation/sequence.ts";
import { acceptDraft } from "./accept.ts";
import type { Draft, Drafter } from "./drafter.ts";
import { checkCount } from "./errors.ts";

export interface SpeculationCounts {
  /** Tokens that were drafted, and how many of them the model agreed with: a stop string or stop token may have cut some of these off. */
  readonly proposed: number;
  readonly accepted: number;
  /** Runs that checked a draft. */
  readonly runs: number;
}

/** Most steps between two drafts. */
const longestRest = 32;

/** Where a step stands. */
export interface StepContext {
  /** The newest token, which is not in the cache yet. */
  readonly token: number;
  /** All tokens, with the newest. */
  readonly history: readonly number[];
  /** Most tokens that the step may give; at least 1. */
  readonly room: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Decodes several tokens per run: a draft is run behind the newest token, and what the model would have said itself is kept. Refused
 * tokens leave the cache by a change of its length.
 *
 * Guesses are compared with what the sampler draws from each row in turn, so the tokens are those of decoding one by one, with the same seed
 * too; drawn drafts go through speculative sampling, which keeps the distribution.
 */
export class Speculation {
  readonly #sequence: TokenSequence;
  readonly #sampler: Sampler;
  readonly #drafter: Drafter;
  readonly #tokens: number;
  #counts: SpeculationCounts = { proposed: 0, accepted: 0, runs: 0 };
  /** Steps without a draft: those that are left, and how many the next useless draft costs. */
  #rest = { left: 0, next: 1 };

  /** `tokens`: most tokens of a draft. */
  constructor(sequence: TokenSequence, sampler: Sampler, drafter: Drafter, tokens: number) {
    checkCount("speculative.tokens", tokens, 1);
    this.#sequence = sequence;
    this.#sampler = sampler;
    this.#drafter = drafter;
    this.#tokens = tokens;
  }

  get counts(): SpeculationCounts {
    return this.#counts;
  }

  /** The next tokens, at least one; undefined when there is no draft to check, or when drafts have been useless lately. The cache then holds all but the last of them. */
  async step({ token, history, room, signal }: StepContext): Promise<readonly number[] | undefined> {
    const past = this.#sequence.tokens.length;
    const most = Math.min(this.#tokens, room - 1, this.#sequence.capacity - past - 1);
    if (most < 1) return undefined;
    if (this.#rest.left > 0) {
      this.#rest.left--;
      return undefined;
    }
    const draft = await this.#drafter.propose(history, most, signal);
    if (draft.ids.length === 0) return undefined;
    checkCount("draft: tokens", draft.ids.length, 1, most);
    const { logits } = await this.#sequence.append([token, ...draft.ids], { logits: "all", signal });
    const tokens = this.#judge(draft, logits ?? new Float32Array(), history);
    this.#sequence.truncate(past + tokens.length);
    const { proposed, accepted, runs } = this.#counts;
    // A checked draft of which nothing is kept costs more than a plain step: after each, twice as many plain steps.
    if (tokens.length > 1) this.#rest = { left: 0, next: 1 };
    else this.#rest = { left: this.#rest.next, next: Math.min(2 * this.#rest.next, longestRest) };
    this.#counts = { proposed: proposed + draft.ids.length, accepted: accepted + tokens.length - 1, runs: runs + 1 };
    return tokens;
  }

  #judge({ ids, distributions }: Draft, logits: Float32Array, history: readonly number[]): readonly number[] {
    const vocab = logits.length / (ids.length + 1);
    const row = (i: number): Float32Array => logits.subarray(i * vocab, (i + 1) * vocab);
    if (distributions) {
      const target = Array.from({ length: ids.length + 1 }, (_, i) => this.#sampler.distribution(row(i), [...history, ...ids.slice(0, i)]));
      const { accepted, token } = acceptDraft(ids, distributions, target, () => this.#sampler.uniform());
      return [...ids.slice(0, accepted), token];
    }
    const tokens: number[] = [];
    do tokens.push(this.#sampler.next(row(tokens.length), [...history, ...tokens]));
    while (tokens.length <= ids.length && tokens.at(-1) === ids[tokens.length - 1]);
    return tokens;
  }
}
