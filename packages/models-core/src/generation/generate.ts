import { RlxError } from "@rlxjs/ir";
import { type DraftTarget, openDrafter, type SpeculativeOptions } from "../speculative/options.ts";
import { Speculation, type SpeculationCounts } from "../speculative/speculate.ts";
import { GenerationOptionError, Sampler, type SamplingOptions } from "./sampler.ts";
import { commonPrefix, type TokenSequence } from "./sequence.ts";
import { StopMatcher } from "./stop.ts";

export interface GenerateOptions extends SamplingOptions {
  /** Most tokens to generate. Default: until the context is full. */
  readonly maxTokens?: number;
  /** Text ends before any of these strings. */
  readonly stop?: string | readonly string[];
  /** Token ids that end the text. Default: the model's end-of-sequence ids. */
  readonly stopTokens?: readonly number[];
  /** Guess several tokens and check them in one run. Default: one token per run. */
  readonly speculative?: SpeculativeOptions;
  readonly signal?: AbortSignal;
}

export type FinishReason = "stop-token" | "stop-string" | "max-tokens" | "context-full";

export interface GenerationSummary {
  readonly finishReason: FinishReason;
  /** Tokens of the prompt, and how many of them were already in the cache. */
  readonly promptTokens: number;
  readonly reusedTokens: number;
  readonly generatedTokens: number;
  /** Milliseconds until the first token was chosen, and for all tokens after it. */
  readonly prefillMs: number;
  readonly decodeMs: number;
  /** How speculation went; only when it was asked for. */
  readonly speculation?: SpeculationCounts;
}

/** A piece of the text; whole characters only. The last piece carries the summary. */
export interface GenerationChunk {
  readonly text: string;
  readonly ids: readonly number[];
  readonly summary?: GenerationSummary;
}

/** Turns ids into text piece by piece and holds back incomplete characters. */
export interface TextDecoderStream {
  push(id: number): string;
  flush(): string;
}

export interface GenerationContext extends DraftTarget {
  readonly sequence: TokenSequence;
  readonly decoder: TextDecoderStream;
  readonly prompt: readonly number[];
  readonly endIds: readonly number[];
  /** Logits [vocab] behind the prompt, when the sequence holds all of it already. */
  readonly promptLogits?: Float32Array | undefined;
  /** Called with the logits behind a prompt that had to be run, when the text has ended: not when it failed or was aborted. */
  readonly keepPrompt?: ((logits: Float32Array<ArrayBuffer>) => Promise<void>) | undefined;
  readonly now: () => number;
}

/** Prefill the prompt behind what the sequence already shares with it, then decode: token by token, or several when they were guessed right. */
export async function* generate(context: GenerationContext, options: GenerateOptions): AsyncGenerator<GenerationChunk, void, void> {
  const { sequence, decoder, prompt, promptLogits, keepPrompt, now } = context;
  const { maxTokens = Number.POSITIVE_INFINITY, signal } = options;
  if (prompt.length === 0) throw new RlxError("ERR_EMPTY_PROMPT", "prompt: expected at least one token, got none");
  if (prompt.length > sequence.capacity)
    throw new RlxError(
      "ERR_CONTEXT_LENGTH",
      `prompt: expected at most ${sequence.capacity} tokens (the context length), got ${prompt.length}`,
    );
  if (!(maxTokens >= 0)) throw new GenerationOptionError("maxTokens", "a number >= 0", maxTokens);
  const sampler = new Sampler(options);
  using open = options.speculative && (await openDrafter(options.speculative, options, context));
  const speculation = open && new Speculation(sequence, sampler, open.drafter, options.speculative?.tokens ?? 4);
  const stops = new StopMatcher(typeof options.stop === "string" ? [options.stop] : (options.stop ?? []));
  const ends = new Set(options.stopTokens ?? context.endIds);
  // Unless its logits are known, at least one token must run.
  const reusedTokens = Math.min(commonPrefix(sequence.tokens, prompt), prompt.length - (promptLogits ? 0 : 1));
  sequence.truncate(reusedTokens);
  const started = now();
  const history = [...prompt];
  let first = started;
  let generated = 0;
  let ranPrompt: Float32Array<ArrayBuffer> | undefined;
  let pending: readonly number[] = prompt.slice(reusedTokens);

  const finish = async (finishReason: FinishReason, text: string, ids: readonly number[]): Promise<GenerationChunk> => {
    const decodeMs = generated > 0 ? now() - first : 0;
    if (ranPrompt) await keepPrompt?.(ranPrompt);
    const summary: GenerationSummary = {
      finishReason,
      promptTokens: prompt.length,
      reusedTokens,
      generatedTokens: generated,
      prefillMs: first - started,
      decodeMs,
      ...(speculation ? { speculation: speculation.counts } : {}),
    };
    return { text, ids, summary };
  };
  const rest = (): string => {
    const last = stops.push(decoder.flush());
    return last.stop === undefined ? last.text + stops.flush() : last.text;
  };

  /** The tokens behind `pending`, at least one. */
  const step = async (): Promise<readonly number[]> => {
    const [token] = pending;
    if (speculation && generated > 0 && token !== undefined) {
      const guessed = await speculation.step({ token, history, room: maxTokens - generated, signal });
      if (guessed) return guessed;
    }
    if (generated === 0 && promptLogits) return [sampler.next(promptLogits.slice(), history)];
    const keeps = generated === 0 && keepPrompt !== undefined;
    const next = await sequence.append(pending, { logits: keeps || !sampler.greedy, signal });
    if (keeps && next.logits) ranPrompt = next.logits.slice();
    return [next.logits ? sampler.next(next.logits, history) : next.greedy];
  };

  signal?.throwIfAborted();
  for (;;) {
    if (generated >= maxTokens) return void (yield await finish("max-tokens", rest(), []));
    if (sequence.tokens.length + pending.length > sequence.capacity) return void (yield await finish("context-full", rest(), []));
    const ids = await step();
    if (generated === 0) first = now();
    for (const id of ids) {
      if (ends.has(id)) return void (yield await finish("stop-token", rest(), []));
      generated++;
      history.push(id);
      const { text, stop } = stops.push(decoder.push(id));
      if (stop !== undefined) return void (yield await finish("stop-string", text, [id]));
      yield { text, ids: [id] };
      signal?.throwIfAborted();
    }
    pending = ids.slice(-1);
  }
}
