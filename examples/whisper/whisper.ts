import {
  BucketedCompileCache,
  CompileCache,
  type CrossAttnKv,
  crossKvInputNames,
  type Device,
  dim,
  type HirModule,
  type KvCacheState,
  kvFromPrefillOutputs,
  openDirectory,
  powerOfTwoLadder,
  RlxError,
  Session,
  splitDecodeLogitsKv,
  Tensor,
  type WeightStore,
} from "rlxjs";
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
  readonly signal?: AbortSignal | undefined;
}

/** What the decoder needs of a batch of recordings. */
export interface EncodedAudio {
  readonly batch: number;
  /** [B, positions, width]. */
  readonly hidden: Tensor;
  /** Keys and values of the cross-attention, per layer of the decoder [B, positions, width]. */
  readonly cross: CrossAttnKv;
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
  readonly weights: WeightStore;
  readonly #session: Session;
  readonly #graphs: CompileCache;
  readonly #buckets = new Map<string, BucketedCompileCache>();

  private constructor(config: WhisperConfig, session: Session, weights: WeightStore) {
    this.config = config;
    this.weights = weights;
    this.#session = session;
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
    const { melBins, encoder, decoder } = this.config;
    const [batch = 0] = features.shape;
    const expected = [Math.max(1, batch), melBins, 2 * encoder.positions];
    if (features.dtype !== "f32" || `${features.shape}` !== `${expected}`)
      throw new WhisperInputError(`features: expected f32[${expected.join(", ")}], got ${features.dtype}[${features.shape.join(", ")}]`);
    const graph = () => buildEncoder(this.config, batch);
    const outputs = await this.#run(`encoder ${batch}`, graph, { input_features: features }, signal);
    const { logits: hidden, layersK, layersV } = splitDecodeLogitsKv(outputs, decoder.layers); // hidden rows in the place of logits
    return { batch, hidden, cross: { layersK, layersV } };
  }

  /**
   * Logits [B, T, vocab] of token lists of one length T, row t about token t + 1, and the keys and values that decoding goes on from. Nothing comes
   * from a cache: this is the recomputation that cached decoding is held to.
   */
  async decodeAll(
    { batch, cross }: EncodedAudio,
    ids: readonly (readonly number[])[],
    { signal }: CallOptions = {},
  ): Promise<{ readonly logits: Tensor; readonly kv: KvCacheState }> {
    const { positions, layers } = this.config.decoder;
    const tokens = dim("tokens", { min: 1, max: positions });
    const heard = crossKvInputNames(layers).map((name, i) => [name, (i % 2 === 0 ? cross.layersK : cross.layersV)[i >> 1]]);
    const inputs: Record<string, Tensor> = { ...Object.fromEntries(heard), input_ids: this.#tokens(ids, batch) };
    const outputs = await this.#run(`decoder ${batch}`, () => buildDecoder(this.config, { batch, tokens }), inputs, signal);
    return { logits: splitDecodeLogitsKv(outputs, layers).logits, kv: kvFromPrefillOutputs(outputs, { layers }) };
  }

  /** Where the graphs for one more token are kept, one per range of lengths. */
  bucketsOf(name: string): BucketedCompileCache {
    const known = this.#buckets.get(name);
    if (known) return known;
    const { positions } = this.config.decoder;
    const made = new BucketedCompileCache(this.#session, powerOfTwoLadder(Math.min(16, positions), positions), { weights: this.weights });
    this.#buckets.set(name, made);
    return made;
  }

  [Symbol.dispose](): void {
    for (const buckets of this.#buckets.values()) buckets[Symbol.dispose]();
    this.#graphs[Symbol.dispose]();
    this.weights[Symbol.dispose]();
    this.#session[Symbol.dispose]();
  }

  /** One list of token ids per recording as an input, or why not. */
  #tokens(ids: readonly (readonly number[])[], batch: number): Tensor {
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

  /** Outputs in the graph's order. */
  async #run(recipe: string, build: () => HirModule, inputs: Readonly<Record<string, Tensor>>, signal?: AbortSignal): Promise<Tensor[]> {
    using lease = await this.#graphs.getOrCompile(recipe, build, { weights: this.weights, ...(signal ? { signal } : {}) });
    return Object.values(await lease.compiled.run({ inputs, signal }));
  }
}
