import { drawIndex, Sampler, type SamplingOptions } from "../generation/sampler.ts";
import { commonPrefix, type TokenSequence } from "../generation/sequence.ts";
import type { Distribution } from "./accept.ts";
import { checkCount } from "./errors.ts";

/** Tokens that may come next. */
export interface Draft {
  readonly ids: readonly number[];
  /** What each id was drawn from, when they were drawn. Without it the ids are plain guesses. */
  readonly distributions?: readonly Distribution[];
}

/** Guesses how a token sequence goes on. */
export interface Drafter {
  /** At most `most` tokens behind `tokens`; none when it has no guess. */
  propose(tokens: readonly number[], most: number, signal?: AbortSignal): Draft | Promise<Draft>;
}

export interface PromptLookupOptions {
  /** Most and fewest latest tokens that an earlier place must share. Defaults 3 and 2. */
  readonly maxNgram?: number;
  readonly minNgram?: number;
}

/**
 * Prompt lookup: the latest tokens are looked for earlier in the sequence, longest first, and what followed there the last time is proposed.
 * Needs no model; good where text repeats itself or its prompt (summaries, code, edits).
 */
export function promptLookup({ maxNgram = 3, minNgram = 2 }: PromptLookupOptions = {}): Drafter {
  checkCount("minNgram", minNgram, 1);
  checkCount("maxNgram", maxNgram, minNgram);
  return {
    propose(tokens, most) {
      for (let n = Math.min(maxNgram, tokens.length - 1); n >= minNgram; n--) {
        const at = lastMatch(tokens, n);
        if (at === undefined) continue;
        // Where the place reaches into the latest tokens, the text repeats with this period and so does the guess.
        const period = tokens.length - at;
        return { ids: Array.from({ length: most }, (_, i) => tokens[at + (i % period)] ?? 0) };
      }
      return { ids: [] };
    },
  };
}

/** Where the last earlier occurrence of the latest `n` tokens ends. */
function lastMatch(tokens: readonly number[], n: number): number | undefined {
  const start = tokens.length - n;
  for (let end = tokens.length - 1; end >= n; end--) {
    let same = 0;
    while (same < n && tokens[end - n + same] === tokens[start + same]) same++;
    if (same === n) return end;
  }
  return undefined;
}

/**
 * A second, smaller model of the same vocabulary writes the draft, in a sequence of its own, with sampling as the target's: drawn when that
 * draws, greedy when that is greedy.
 */
export function modelDrafter(sequence: TokenSequence, sampling: SamplingOptions = {}): Drafter {
  const sampler = new Sampler(sampling);
  const draws = (sampling.temperature ?? 0) > 0;
  return {
    async propose(tokens, most, signal) {
      const history = [...tokens];
      const ids: number[] = [];
      const distributions: Distribution[] = [];
      // At least one token must run, to have logits.
      sequence.truncate(Math.min(commonPrefix(sequence.tokens, tokens), tokens.length - 1));
      let pending: readonly number[] = tokens.slice(sequence.tokens.length);
      while (ids.length < most && sequence.tokens.length + pending.length <= sequence.capacity) {
        const { logits, greedy } = await sequence.append(pending, { logits: !sampler.greedy, signal });
        let id: number;
        if (logits === undefined) id = greedy;
        else if (draws) {
          const distribution = sampler.distribution(logits, history);
          id = drawIndex(distribution, sampler.uniform());
          distributions.push(distribution);
        } else id = sampler.next(logits, history);
        ids.push(id);
        history.push(id);
        pending = [id];
      }
      return draws ? { ids, distributions } : { ids };
    },
  };
}
