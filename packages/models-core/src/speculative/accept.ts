import { drawIndex } from "../generation/sampler.ts";
import { SpeculativeError } from "./errors.ts";

/** Probabilities [vocab] that sum to 1. */
export type Distribution = Float64Array;

export interface DraftVerdict {
  /** How many drafted tokens are kept, from the first on. */
  readonly accepted: number;
  /** The token behind them: a correction of the first one that was refused, or one more when all were accepted. */
  readonly token: number;
}

/**
 * Speculative sampling (Leviathan, Kalman, Matias 2023): the kept tokens and the one behind them are distributed as if each had been drawn
 * from the target, whatever the draft is; the draft decides only how many are kept. `draft[i]`: what `drafted[i]` was drawn from; `target`:
 * the distributions at the same places and the one behind them. Nothing is drawn but from `uniform`, numbers in [0, 1).
 */
export function acceptDraft(
  drafted: readonly number[],
  draft: readonly Distribution[],
  target: readonly Distribution[],
  uniform: () => number,
): DraftVerdict {
  checkRows(drafted, target.length);
  if (draft.length !== drafted.length) throw new SpeculativeError("draft", `${drafted.length} distributions (one per token)`, draft.length);
  for (const [accepted, token] of drafted.entries()) {
    const [q, p] = [draft[accepted] ?? none, target[accepted] ?? none];
    const drawn = q[token] ?? 0;
    if (!(drawn > 0)) throw new SpeculativeError(`drafted token ${accepted}`, "a token that its distribution can draw", token);
    if (uniform() * drawn < (p[token] ?? 0)) continue;
    return { accepted, token: drawIndex(residualDistribution(p, q), uniform()) };
  }
  return { accepted: drafted.length, token: drawIndex(target[drafted.length] ?? none, uniform()) };
}

/** The greedy case: tokens are kept while they are the target's own. `best[i]`: the target's choice at place i, and one behind. */
export function acceptExact(drafted: readonly number[], best: readonly number[]): DraftVerdict {
  checkRows(drafted, best.length);
  const wrong = drafted.findIndex((token, i) => token !== best[i]);
  const accepted = wrong < 0 ? drafted.length : wrong;
  return { accepted, token: best[accepted] ?? 0 };
}

/** What the target has more of than the draft, as weights; the target itself when rounding leaves nothing. */
export function residualDistribution(target: Distribution, draft: Distribution): Distribution {
  const rest = target.map((p, i) => Math.max(0, p - (draft[i] ?? 0)));
  return rest.some((p) => p > 0) ? rest : target;
}

function checkRows(drafted: readonly number[], rows: number): void {
  if (rows !== drafted.length + 1) throw new SpeculativeError("target", `${drafted.length + 1} rows (one more than drafted)`, rows);
}
const none: Distribution = new Float64Array();
