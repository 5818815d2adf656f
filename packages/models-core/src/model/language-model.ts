import { RlxError, type Tensor } from "@rlxjs/ir";
import type { DeviceInfo, Session, WeightStore } from "@rlxjs/runtime";
import type { ModelConfig } from "../config/model-config.ts";
import { families } from "../families/index.ts";
import { type GenerateOptions, type GenerationChunk, generate, type TextDecoderStream } from "../generation/generate.ts";
import type { SnapshotSequence } from "../generation/sequence.ts";
import { modelFingerprint } from "../prompt-cache/fingerprint.ts";
import { PromptCache, type PromptCacheOptions } from "../prompt-cache/prompt-cache.ts";
import { type ChatMessage, StreamDecoder, type Tokenizer } from "../tokenizer/index.ts";
import { DecoderModel } from "./decoder-model.ts";
import { EncoderModel, type Encoding } from "./encoder-model.ts";
import type { GraphStats } from "./graph-set.ts";
import { type KvCacheOption, type KvFormats, kvFormatsOf } from "./kv-formats.ts";
import { PromptReuse } from "./prompt-reuse.ts";

export interface ModelOptions {
  /** Positions of a sequence, prompt and generated text together. Default: the model's own, at most 4096. */
  readonly contextLength?: number;
  /** How keys and values are kept. Default f16. */
  readonly kvCache?: KvCacheOption;
  /** Keep prompts that have been run, so that they need not be run again: up to so many bytes, or in a cache that models of one fingerprint share. Default: none. */
  readonly promptCache?: PromptCache | Pick<PromptCacheOptions, "maxBytes">;
}

/** Everything a model is made of, whatever file it came from. */
export interface ModelParts {
  readonly config: ModelConfig;
  readonly session: Session;
  readonly weights: WeightStore;
  /** Undefined: the model takes and gives token ids only. */
  readonly tokenizer: Tokenizer | undefined;
  /** Name for messages. */
  readonly name: string;
}

/** A text, a conversation (rendered by the model's chat template), or token ids as they are. */
export type Prompt = string | readonly ChatMessage[] | readonly number[];

export interface EmbedOptions {
  readonly signal?: AbortSignal;
}

/** A language model on a device. Dispose it to free the device's memory and the model's files. */
export class LanguageModel implements Disposable {
  readonly config: ModelConfig;
  readonly tokenizer: Tokenizer | undefined;
  readonly device: DeviceInfo;
  readonly name: string;
  readonly #parts: ModelParts;
  readonly #decoder: DecoderModel | undefined;
  readonly #encoder: EncoderModel | undefined;
  readonly #reuse: PromptReuse | undefined;
  #fingerprint: Promise<string> | undefined;
  #disposed = false;

  /** Takes over the session and the weights: they are disposed with the model. */
  constructor(parts: ModelParts, options: ModelOptions = {}) {
    const { config, session, weights } = parts;
    this.#parts = parts;
    this.config = config;
    this.tokenizer = parts.tokenizer;
    this.name = parts.name;
    this.device = session.info;
    const kvFormats = kvFormatsOf(options.kvCache);
    const family = families[config.architecture];
    if (family.kind === "decoder") {
      this.#decoder = new DecoderModel(config, family, session, weights, { ...options, kvFormats });
      this.#reuse = options.promptCache && this.#reuseOf(options.promptCache, this.#decoder);
    } else this.#encoder = new EncoderModel(config, family, session, weights);
  }

  /** `decoder`: generates text. `encoder`: embeds it. */
  get kind(): "decoder" | "encoder" {
    return this.#decoder ? "decoder" : "encoder";
  }
  /** Most tokens of a sequence. */
  get contextLength(): number {
    return this.#decoder?.capacity ?? this.config.maxPositions;
  }

  /** How a decoder's cache keeps keys and values, and the bytes that a token takes in it. */
  get kvCache(): (KvFormats & { readonly bytesPerToken: number }) | undefined {
    return this.#decoder?.kvCache;
  }

  /** Prompts that have been run, when the model keeps them. */
  get promptCache(): PromptCache | undefined {
    return this.#reuse?.cache;
  }
  /**
   * Equal for models whose caches hold the same: weights, config, cache formats, device and kernels. Reads all weights, once; `signal` stops
   * that for all who wait.
   */
  async fingerprint(signal?: AbortSignal): Promise<string> {
    const kvFormats = this.#needDecoder("fingerprint").kvCache;
    this.#fingerprint ??= modelFingerprint({ ...this.#parts, device: this.device, kvFormats }, signal);
    try {
      return await this.#fingerprint;
    } catch (error) {
      this.#fingerprint = undefined; // the next use tries again
      throw error;
    }
  }

  /** Do now what the first use would do: compile, and find out whether the prompt cache is this model's. */
  async prepare(signal?: AbortSignal): Promise<void> {
    await this.#bindCache(signal);
    // One after the other: the second finds the weights that the first has packed.
    for (const kind of ["decode", "prefill"] as const) await this.#decoder?.graphs.get(kind, signal);
    await this.#encoder?.graphs.get("encode", signal);
  }

  /** Continue a prompt. Pieces come as they are generated; leaving the loop or aborting the signal stops within a token. */
  async *generate(prompt: Prompt, options: GenerateOptions = {}): AsyncGenerator<GenerationChunk, void, void> {
    const model = this.#needDecoder("generate");
    const ids = this.encode(prompt);
    const decoder = this.tokenizer ? new StreamDecoder(this.tokenizer) : idsOnly;
    // Not within the time of the first guess.
    if (options.speculative) await model.graphs.get("all", options.signal);
    await this.#bindCache(options.signal);
    const sequence = await model.acquire(ids);
    try {
      const { vocabSize, eosTokenIds: endIds } = this.config;
      const reuse = this.#reuse;
      const promptLogits = await reuse?.restore(sequence, ids);
      const keepPrompt = reuse && ((logits: Float32Array<ArrayBuffer>) => reuse.keep(sequence, ids, logits));
      const vocabulary = this.tokenizer;
      const context = { sequence, decoder, prompt: ids, endIds, vocabSize, vocabulary, promptLogits, keepPrompt };
      yield* generate({ ...context, now: () => performance.now() }, options);
    } finally {
      model.release(sequence);
    }
  }

  /** The whole continuation of a prompt. */
  async complete(prompt: Prompt, options: GenerateOptions = {}): Promise<string> {
    let text = "";
    for await (const piece of this.generate(prompt, options)) text += piece.text;
    return text;
  }

  /** An empty sequence with a KV cache of its own, to be driven by hand (see `generate`). Dispose it. */
  async createSequence(): Promise<SnapshotSequence> {
    return this.#needDecoder("createSequence").createSequence();
  }

  /** Token ids of a prompt, with what the model expects around it. */
  encode(prompt: Prompt): number[] {
    if (typeof prompt === "string") return this.#needTokenizer("a text prompt").encode(prompt);
    if (prompt.every((p) => typeof p === "number")) return [...prompt];
    const tokenizer = this.#needTokenizer("a conversation");
    return tokenizer.encode(tokenizer.applyChatTemplate(prompt as readonly ChatMessage[]), { addSpecialTokens: false });
  }

  /** Logits f32 [n, vocab] of every token: `full` by prefill, `decode` token by token through the KV cache. */
  async logits(
    ids: readonly number[],
    options: { readonly mode?: "full" | "decode"; readonly signal?: AbortSignal } = {},
  ): Promise<Tensor> {
    return this.#needDecoder("logits").logits(ids, options.mode ?? "full", options.signal);
  }

  /** One vector [hidden] per text: the mean of the last hidden states of its tokens. */
  async embed(texts: readonly (string | readonly number[])[], options: EmbedOptions = {}): Promise<Float32Array[]> {
    if (this.#encoder) return (await this.#encode(this.#encoder, texts, options)).map(({ meanPooled }) => meanPooled);
    return (await this.hiddenStates(texts, options)).map(meanOfRows);
  }

  /** The last hidden states f32 [n, hidden] of each text's tokens. */
  async hiddenStates(texts: readonly (string | readonly number[])[], options: EmbedOptions = {}): Promise<Tensor[]> {
    if (this.#encoder) return (await this.#encode(this.#encoder, texts, options)).map(({ lastHiddenState }) => lastHiddenState);
    const decoder = this.#needDecoder("hiddenStates");
    const out: Tensor[] = [];
    for (const text of texts) out.push(await decoder.hidden(this.encode(text), this.config.hiddenSize, options.signal));
    return out;
  }

  /** Counters over all graphs of the model. */
  stats(): GraphStats {
    return (this.#decoder ?? this.#encoder ?? fail("a model without graphs")).graphs.stats();
  }

  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#decoder?.[Symbol.dispose]();
    this.#encoder?.[Symbol.dispose]();
    this.#parts.weights[Symbol.dispose]();
    this.#parts.session[Symbol.dispose]();
  }

  #encode(encoder: EncoderModel, texts: readonly (string | readonly number[])[], { signal }: EmbedOptions): Promise<Encoding[]> {
    this.#refuseDisposed();
    return encoder.encode(
      texts.map((t) => this.encode(t)),
      signal,
    );
  }
  #reuseOf(cache: PromptCache | Pick<PromptCacheOptions, "maxBytes">, { vocabSize, kvCache }: DecoderModel): PromptReuse {
    const own = cache instanceof PromptCache ? cache : new PromptCache(cache);
    return new PromptReuse(own, { vocabSize, bytesPerToken: kvCache.bytesPerToken });
  }
  async #bindCache(signal?: AbortSignal): Promise<void> {
    if (this.#reuse) this.#reuse.cache.bind(await this.fingerprint(signal));
  }
  #refuseDisposed(): void {
    if (this.#disposed) throw new RlxError("ERR_DISPOSED", `model "${this.name}" is disposed`);
  }
  #needDecoder(what: string): DecoderModel {
    this.#refuseDisposed();
    return (
      this.#decoder ??
      fail(`${what}: model "${this.name}" is an encoder (${this.config.architecture}): expected a decoder; encoders embed texts`)
    );
  }
  #needTokenizer(what: string): Tokenizer {
    return (
      this.tokenizer ?? fail(`${what}: model "${this.name}" has no tokenizer: expected tokenizer.json beside it, or token ids as input`)
    );
  }
}

/** A model without a tokenizer gives ids and no text. */
const idsOnly: TextDecoderStream = { push: () => "", flush: () => "" };

/** The mean [size] of rows f32 [n, size]. */
function meanOfRows(rows: Tensor): Float32Array<ArrayBuffer> {
  const values = rows.values();
  const [n = 0, size = 0] = rows.shape;
  return Float32Array.from({ length: size }, (_, i) => {
    let sum = 0;
    for (let row = 0; row < n; row++) sum += values[row * size + i] ?? 0;
    return sum / n;
  });
}

function fail(message: string): never {
  throw new RlxError("ERR_MODEL", message);
}
