import { CompileCache, type Device, dim, type HirModule, openDirectory, RlxError, Session, Tensor, type WeightStore } from "rlxjs";
import { readConfig, type WhisperConfig } from "./config.ts";
import { buildDecoder } from "./decoder.ts";
import { buildEncoder } from "./encoder.ts";
import { openWeights } from "./weights.ts";

export interface WhisperOptions {
  /** Default `cpu`. */
  readonly device?: Device;
  /** `reference`: the slow ones that say what is right. */
  readonly kernels?: "native" | "reference";
  readonly signal?: AbortSignal;
}
export interface CallOptions {
  /** Aborted: the call stops within a layer and fails with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** What the decoder needs of a batch of recordings. */
export interface EncodedAudio {
  readonly batch: number;
  /** [B, positions, width]. */
  readonly hidden: Tensor;
  /** Keys and values of the cross-attention by the names of the decoder's inputs: `cross_k_0`, `cross_v_0`, ... */
  readonly cross: Readonly<Record<string, Tensor>>;
}

/** Features or tokens that the model cannot take. */
export class WhisperInputError extends RlxError {
  constructor(message: string) {
    super("ERR_WHISPER_INPUT", `whisper: ${message}`);
  }
}

/** A Whisper checkpoint on a device. Graphs are compiled when they are first needed, and then kept. One call at a time. */
export class Whisper implements Disposable {
  readonly config: WhisperConfig;
  readonly session: Session;
  readonly weights: WeightStore;
  readonly #graphs: CompileCache;

  private constructor(config: WhisperConfig, session: Session, weights: WeightStore) {
    this.config = config;
    this.session = session;
    this.weights = weights;
    this.#graphs = new CompileCache(session);
  }

  /** Open a directory with config.json and model.safetensors (or its shards), as Hugging Face transformers writes them. */
  static async open(path: string, { device = "cpu", kernels, signal }: WhisperOptions = {}): Promise<Whisper> {
    const session = await Session.open({ device, ...(kernels ? { kernels } : {}) });
    try {
      const directory = await openDirectory(path, (file) => session.mapFile(file));
      const config = await readConfig(directory);
      signal?.throwIfAborted();
      return new Whisper(config, session, await openWeights(directory, config));
    } catch (error) {
      session[Symbol.dispose]();
      throw error;
    }
  }

  /** Encode log-mel spectrograms f32 [B, melBins, 2 * encoder.positions]. */
  async encode(features: Tensor, { signal }: CallOptions = {}): Promise<EncodedAudio> {
    const { melBins, encoder } = this.config;
    const [batch = 0] = features.shape;
    const expected = [Math.max(1, batch), melBins, 2 * encoder.positions];
    if (features.dtype !== "f32" || `${features.shape}` !== `${expected}`)
      throw new WhisperInputError(`features: expected f32[${expected.join(", ")}], got ${features.dtype}[${features.shape.join(", ")}]`);
    const { hidden, ...cross } = await this.#run(
      `encoder ${batch}`,
      () => buildEncoder(this.config, batch),
      { input_features: features },
      signal,
    );
    if (!hidden) throw new WhisperInputError("the encoder has no output");
    return { batch, hidden, cross };
  }

  /**
   * Logits [B, T, vocab] of token lists of one length T, row t about token t + 1, and the decoder's keys and values of them: `k_i`, `v_i`
   * [B, T, width]. Nothing is cached: the recomputation that cached decoding is held to, and the first step of it.
   */
  async decodeAll(
    audio: EncodedAudio,
    ids: readonly (readonly number[])[],
    { signal }: CallOptions = {},
  ): Promise<Readonly<Record<string, Tensor>>> {
    const { batch, cross } = audio;
    const tokens = dim("tokens", { min: 1, max: this.config.decoder.positions });
    const inputs = { input_ids: this.tokenTensor(ids, batch), ...cross };
    return this.#run(`decoder ${batch}`, () => buildDecoder(this.config, { batch, tokens }), inputs, signal);
  }

  /** One list of token ids per recording as an input, or why not. */
  tokenTensor(ids: readonly (readonly number[])[], batch: number): Tensor {
    const { vocab, decoder } = this.config;
    const length = ids[0]?.length ?? 0;
    if (ids.length !== batch) throw new WhisperInputError(`tokens: expected ${batch} lists, one per recording, got ${ids.length}`);
    if (length < 1 || length > decoder.positions || ids.some((row) => row.length !== length))
      throw new WhisperInputError(
        `tokens: expected lists of one length from 1 to ${decoder.positions}, got ${ids.map((row) => row.length)}`,
      );
    const bad = ids.flat().find((id) => !Number.isSafeInteger(id) || id < 0 || id >= vocab);
    if (bad !== undefined) throw new WhisperInputError(`tokens: expected ids from 0 to ${vocab - 1}, got ${bad}`);
    return new Tensor("i32", [batch, length], Int32Array.from(ids.flat()));
  }

  [Symbol.dispose](): void {
    this.#graphs[Symbol.dispose]();
    this.weights[Symbol.dispose]();
    this.session[Symbol.dispose]();
  }

  async #run(
    recipe: string,
    build: () => HirModule,
    inputs: Readonly<Record<string, Tensor>>,
    signal?: AbortSignal,
  ): Promise<Readonly<Record<string, Tensor>>> {
    using lease = await this.#graphs.getOrCompile(recipe, build, { weights: this.weights, ...(signal ? { signal } : {}) });
    return await lease.compiled.run({ inputs, signal });
  }
}
