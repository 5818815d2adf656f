import { RlxError, Rng } from "@rlxjs/ir";

/** How the next token is drawn from the logits. The defaults are greedy. */
export interface SamplingOptions {
  /** 0: greedy (the first maximum). Default 0. */
  readonly temperature?: number;
  /** Keep the k most likely tokens; 0: all. Default 0. */
  readonly topK?: number;
  /** Keep the smallest set of most likely tokens whose probabilities sum to at least p. Default 1: all. */
  readonly topP?: number;
  /** Keep tokens of at least this share of the most likely token's probability. Default 0: all. */
  readonly minP?: number;
  /** Positive logits of recent tokens are divided by this, negative multiplied (Keskar et al. 2019). Default 1: off. */
  readonly repetitionPenalty?: number;
  /** Subtracted once from the logit of every recent token. Default 0. */
  readonly presencePenalty?: number;
  /** Subtracted from a recent token's logit per occurrence. Default 0. */
  readonly frequencyPenalty?: number;
  /** How many of the latest tokens count as recent. Default: all. */
  readonly penaltyWindow?: number;
  /** Added to the logits of these token ids. */
  readonly logitBias?: ReadonlyMap<number, number>;
  /** Seed of the sequence's random numbers: one seed, one text. Default: random. */
  readonly seed?: number | bigint;
}

const checks: readonly [keyof SamplingOptions, string, (v: number) => boolean][] = [
  ["temperature", "a number >= 0", (v) => v >= 0],
  ["topK", "an integer >= 0", (v) => Number.isSafeInteger(v) && v >= 0],
  ["topP", "a number in (0, 1]", (v) => v > 0 && v <= 1],
  ["minP", "a number in [0, 1]", (v) => v >= 0 && v <= 1],
  ["repetitionPenalty", "a number > 0", (v) => v > 0],
  ["presencePenalty", "a number", Number.isFinite],
  ["frequencyPenalty", "a number", Number.isFinite],
  ["penaltyWindow", "an integer >= 0", (v) => Number.isSafeInteger(v) && v >= 0],
];

/** An option of generation that is out of range. */
export class GenerationOptionError extends RlxError {
  constructor(option: string, expected: string, given: unknown) {
    super("ERR_GENERATION_OPTION", `${option}: expected ${expected}, got ${String(given)}`);
  }
}

interface Candidate {
  readonly id: number;
  readonly logit: number;
}

/** What is left to draw from: the greedy choice, and candidates with weights that need not sum to 1. */
interface Choices {
  readonly best: number;
  readonly kept: readonly Candidate[];
  readonly weights: readonly number[];
}

/** Draws one token after another for one sequence: logit bias, penalties, top-k, top-p, min-p, temperature, draw. */
export class Sampler {
  readonly #options: SamplingOptions;
  readonly #rng: Rng;

  constructor(options: SamplingOptions = {}) {
    for (const [name, expected, test] of checks) {
      const v = options[name];
      if (v !== undefined && !(typeof v === "number" && test(v))) throw new GenerationOptionError(name, expected, v);
    }
    const { seed } = options;
    if (seed !== undefined && typeof seed !== "bigint" && !Number.isSafeInteger(seed))
      throw new GenerationOptionError("seed", "an integer", seed);
    this.#options = options;
    this.#rng = new Rng(seed ?? Math.floor(Math.random() * Number.MAX_SAFE_INTEGER));
  }

  /** Whether the token is the plain maximum of the logits, so that they need not be read back. */
  get greedy(): boolean {
    const { temperature = 0, repetitionPenalty = 1, presencePenalty = 0, frequencyPenalty = 0, logitBias } = this.#options;
    return temperature === 0 && repetitionPenalty === 1 && presencePenalty === 0 && frequencyPenalty === 0 && !logitBias?.size;
  }

  /** The next token's id. `logits` [vocab] may be changed; `history`: the sequence so far. */
  next(logits: Float32Array, history: readonly number[]): number {
    const { best, kept, weights } = this.#choices(logits, history);
    // A single choice, as greedy is, takes no random number.
    return weights.length === 1 ? best : (kept[drawIndex(weights, this.uniform())]?.id ?? best);
  }

  /** The probabilities [vocab] that `next` draws from. `logits` may be changed. */
  distribution(logits: Float32Array, history: readonly number[]): Float64Array<ArrayBuffer> {
    const { kept, weights } = this.#choices(logits, history);
    const total = weights.reduce((a, b) => a + b, 0);
    const out = new Float64Array(logits.length);
    for (const [i, { id }] of kept.entries()) out[id] = (weights[i] ?? 0) / total;
    return out;
  }

  /** A random number in [0, 1) of the sequence's own. */
  uniform(): number {
    return this.#rng.uniform();
  }

  #choices(logits: Float32Array, history: readonly number[]): Choices {
    this.#penalise(logits, history);
    const { temperature = 0, topK = 0, topP = 1, minP = 0 } = this.#options;
    const best = argmax(logits);
    const peak = logits[best] ?? 0;
    if (temperature === 0) return { best, kept: [{ id: best, logit: peak }], weights: [1] };
    let kept = topK > 0 && topK < logits.length ? largest(logits, topK) : topP < 1 ? nucleusCandidates(logits, topP) : everything(logits);
    if (topP < 1) kept = nucleus(kept, topP, peak);
    if (minP > 0) kept = kept.filter((c) => Math.exp(c.logit - peak) >= minP);
    return { best, kept, weights: kept.map((c) => Math.exp((c.logit - peak) / temperature)) };
  }

  #penalise(logits: Float32Array, history: readonly number[]): void {
    const { repetitionPenalty = 1, presencePenalty = 0, frequencyPenalty = 0, penaltyWindow, logitBias } = this.#options;
    for (const [id, bias] of logitBias ?? []) if (id >= 0 && id < logits.length) logits[id] = (logits[id] ?? 0) + bias;
    if (repetitionPenalty === 1 && presencePenalty === 0 && frequencyPenalty === 0) return;
    const counts = new Map<number, number>();
    const recent = penaltyWindow === undefined ? history : history.slice(Math.max(0, history.length - penaltyWindow));
    for (const id of recent) counts.set(id, (counts.get(id) ?? 0) + 1);
    for (const [id, n] of counts) {
      const v = logits[id] ?? 0;
      logits[id] = (v > 0 ? v / repetitionPenalty : v * repetitionPenalty) - presencePenalty - n * frequencyPenalty;
    }
  }
}

/**
 * Index drawn in proportion to `weights`, by inversion of `uniform` in [0, 1). They need not sum to 1; where rounding leaves nothing it is the
 * last one of a weight above 0.
 */
export function drawIndex(weights: ArrayLike<number>, uniform: number): number {
  let total = 0;
  for (let i = 0; i < weights.length; i++) total += weights[i] ?? 0;
  let left = uniform * total;
  let last = 0;
  for (let i = 0; i < weights.length; i++) {
    const weight = weights[i] ?? 0;
    if (weight <= 0) continue;
    left -= weight;
    last = i;
    if (left < 0) break;
  }
  return last;
}

/** Index of the first maximum; a NaN is an error of the model and is reported. */
export function argmax(logits: ArrayLike<number>): number {
  let best = 0;
  for (let i = 0; i < logits.length; i++) {
    const v = logits[i] ?? 0;
    if (Number.isNaN(v)) throw new RlxError("ERR_NAN_LOGITS", `logit ${i} is NaN`);
    if (v > (logits[best] ?? 0)) best = i;
  }
  return best;
}

const order = (a: Candidate, b: Candidate): number => b.logit - a.logit || a.id - b.id;
const everything = (logits: Float32Array): Candidate[] => Array.from(logits, (logit, id) => ({ id, logit }));

/** The k-th largest value, 1 <= k <= n, in O(n) on average: Hoare's quickselect. Reorders `values`. */
function kthLargest(values: Float32Array, k: number): number {
  const at = (i: number): number => values[i] ?? 0;
  for (let [low, high] = [0, values.length - 1]; low < high; ) {
    const pivot = at((low + high) >> 1);
    let [i, j] = [low, high];
    while (i <= j) {
      while (at(i) > pivot) i++;
      while (at(j) < pivot) j--;
      if (i > j) break;
      [values[i], values[j]] = [at(j), at(i)];
      i++;
      j--;
    }
    if (k - 1 <= j) high = j;
    else if (k - 1 >= i) low = i;
    else break;
  }
  return at(k - 1);
}

/** The k largest logits, descending, ties to the lower id. */
function largest(logits: Float32Array, k: number): Candidate[] {
  const threshold = kthLargest(logits.slice(), k);
  const out: Candidate[] = [];
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id] ?? 0;
    if (logit >= threshold) out.push({ id, logit });
  }
  return out.sort(order).slice(0, k);
}

/** Enough of the largest logits to hold the nucleus: tokens that are too rare to matter are never sorted. */
function nucleusCandidates(logits: Float32Array, p: number): Candidate[] {
  let peak = Number.NEGATIVE_INFINITY;
  for (const v of logits) peak = Math.max(peak, v);
  // All tokens below the cut together hold less than (1 - p) / 2 of the mass, so the nucleus lies above it.
  const cut = peak + Math.log((1 - p) / 2 / logits.length);
  const out: Candidate[] = [];
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id] ?? 0;
    if (logit >= cut) out.push({ id, logit });
  }
  return out.sort(order);
}

/** The smallest prefix of sorted candidates whose mass is at least p of the candidates' mass. */
function nucleus(sorted: readonly Candidate[], p: number, peak: number): Candidate[] {
  const total = sorted.reduce((sum, c) => sum + Math.exp(c.logit - peak), 0);
  let mass = 0;
  const end = sorted.findIndex((c) => {
    mass += Math.exp(c.logit - peak);
    return mass >= p * total;
  });
  return end < 0 ? [...sorted] : sorted.slice(0, end + 1);
}
