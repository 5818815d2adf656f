import { GenerationOptionError, type SamplingOptions } from "../generation/sampler.ts";
import type { TokenSequence } from "../generation/sequence.ts";
import { type Drafter, modelDrafter, promptLookup } from "./drafter.ts";

/** How ids are spelled. */
export interface Vocabulary {
  /** Undefined: no token has this id. */
  idToToken(id: number): string | undefined;
}

/** A model that can write drafts: a `LanguageModel` with the vocabulary of the one that checks them. */
export interface DraftModel {
  readonly config: { readonly vocabSize: number };
  /** Absent: nobody checks whether its ids mean the same. */
  readonly tokenizer?: Vocabulary | undefined;
  createSequence(): Promise<TokenSequence & Disposable>;
}

/** Decode several tokens per run by guessing them first. The text stays what it is without (see `Speculation`). */
export interface SpeculativeOptions {
  /** Where guesses come from: earlier text, a smaller model, or a drafter of one's own. */
  readonly draft: "prompt-lookup" | DraftModel | Drafter;
  /** Most tokens per guess. Default 4. */
  readonly tokens?: number;
}

/** A drafter with what must be freed after it. */
export interface OpenDrafter extends Disposable {
  readonly drafter: Drafter;
}

/** The model whose tokens are guessed. */
export interface DraftTarget {
  readonly vocabSize: number;
  /** Absent: ids of a draft are taken for its own. */
  readonly vocabulary?: Vocabulary | undefined;
}

/** The drafter of a generation. GenerationOptionError for a model of another vocabulary. */
export async function openDrafter({ draft }: SpeculativeOptions, sampling: SamplingOptions, target: DraftTarget): Promise<OpenDrafter> {
  if (draft === "prompt-lookup") return unowned(promptLookup());
  if ("propose" in draft) return unowned(draft);
  checkVocabulary(draft, target);
  const sequence = await draft.createSequence();
  return { drafter: modelDrafter(sequence, { ...sampling, ...ownSeed(sampling) }), [Symbol.dispose]: () => sequence[Symbol.dispose]() };
}

/** Refuse a model whose ids mean other tokens: its guesses would all be wrong, without a word. */
function checkVocabulary({ config: { vocabSize }, tokenizer }: DraftModel, target: DraftTarget): void {
  const option = "speculative.draft";
  if (vocabSize !== target.vocabSize)
    throw new GenerationOptionError(option, `a model with a vocabulary of ${target.vocabSize}`, `one of ${vocabSize}`);
  const { vocabulary } = target;
  if (!tokenizer || !vocabulary || tokenizer === vocabulary || known.get(tokenizer)?.has(vocabulary)) return;
  for (let id = 0; id < vocabSize; id++) {
    const [given, expected] = [tokenizer.idToToken(id), vocabulary.idToToken(id)];
    // Formats differ in how they fill ids that are not in use.
    if (given !== undefined && expected !== undefined && given !== expected)
      throw new GenerationOptionError(option, `a model whose token ${id} is ${JSON.stringify(expected)}`, JSON.stringify(given));
  }
  known.set(tokenizer, (known.get(tokenizer) ?? new WeakSet()).add(vocabulary));
}
/** Vocabularies that are the same. */
const known = new WeakMap<Vocabulary, WeakSet<Vocabulary>>();

const unowned = (drafter: Drafter): OpenDrafter => ({ drafter, [Symbol.dispose]: () => undefined });

/** The draft draws from random numbers that are independent of those that judge it. */
const ownSeed = ({ seed }: SamplingOptions): SamplingOptions => (seed === undefined ? {} : { seed: BigInt(seed) ^ 0x5851f42d4c957f2dn });
