import { GenerationOptionError, type SamplingOptions } from "../generation/sampler.ts";
import type { TokenSequence } from "../generation/sequence.ts";
import { type Drafter, modelDrafter, promptLookup } from "./drafter.ts";

/** A model that can write drafts: a `LanguageModel` with the vocabulary of the one that checks them. */
export interface DraftModel {
  readonly config: { readonly vocabSize: number };
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

/** The drafter of a generation over a vocabulary of `vocabSize`. */
export async function openDrafter({ draft }: SpeculativeOptions, sampling: SamplingOptions, vocabSize: number): Promise<OpenDrafter> {
  if (draft === "prompt-lookup") return unowned(promptLookup());
  if ("propose" in draft) return unowned(draft);
  if (draft.config.vocabSize !== vocabSize)
    throw new GenerationOptionError("speculative.draft", `a model with a vocabulary of ${vocabSize}`, `one of ${draft.config.vocabSize}`);
  const sequence = await draft.createSequence();
  return { drafter: modelDrafter(sequence, { ...sampling, ...ownSeed(sampling) }), [Symbol.dispose]: () => sequence[Symbol.dispose]() };
}

const unowned = (drafter: Drafter): OpenDrafter => ({ drafter, [Symbol.dispose]: () => undefined });

/** The draft draws from random numbers that are independent of those that judge it. */
const ownSeed = ({ seed }: SamplingOptions): SamplingOptions => (seed === undefined ? {} : { seed: BigInt(seed) ^ 0x5851f42d4c957f2dn });
