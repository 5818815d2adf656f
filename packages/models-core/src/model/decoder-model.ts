import { dim, type HirModule, RlxError, Tensor } from "@rlxjs/ir";
import type { Session, StateSet, WeightStore } from "@rlxjs/runtime";
import type { ModelConfig } from "../config/model-config.ts";
import type { Family } from "../families/index.ts";
import { commonPrefix } from "../generation/sequence.ts";
import { checkIds } from "./check-ids.ts";
import { GraphSet } from "./graph-set.ts";
import { type KvFormats, kvBytesPerToken } from "./kv-formats.ts";
import { KvSequence } from "./kv-sequence.ts";

export interface DecoderOptions {
  /** Positions that a sequence can have: prompt and generated text together. Default: the model's own, at most 4096. */
  readonly contextLength?: number;
  readonly kvFormats: KvFormats;
}

type Kind = "decode" | "prefill" | "all" | "hidden";

/** Tokens whose rows of an output are wanted. */
interface RowsCall {
  readonly kind: Kind;
  readonly output: string;
  readonly state: StateSet;
  readonly ids: readonly number[];
  /** Tokens that are in the cache already. */
  readonly past: number;
  /** [ids.length, width]. */
  readonly out: Float32Array<ArrayBuffer>;
  readonly signal: AbortSignal | undefined;
}

/** Most tokens per prefill run; longer prompts take several. */
const prefillTokens = 512;
/** Most logits (elements) that one run gives back. */
const maxLogits = 2 ** 24;
/** Finished sequences that are kept for prefix reuse. */
const keptSequences = 2;

/** A decoder-only model on a device: its graphs, and its sequences with their KV caches. */
export class DecoderModel implements Disposable {
  readonly capacity: number;
  readonly vocabSize: number;
  readonly kvCache: KvFormats & { readonly bytesPerToken: number };
  readonly graphs: GraphSet<Kind>;
  readonly #idle: KvSequence[] = [];
  readonly #active = new Set<KvSequence>();
  #disposed = false;

  constructor(config: ModelConfig, family: Family & { kind: "decoder" }, session: Session, weights: WeightStore, options: DecoderOptions) {
    const { kvFormats } = options;
    this.kvCache = { ...kvFormats, bytesPerToken: kvBytesPerToken(kvFormats, config) };
    const limit = config.maxPositions;
    const capacity = options.contextLength ?? Math.min(limit, 4096);
    if (!Number.isSafeInteger(capacity) || capacity < 1 || capacity > limit)
      throw new RlxError(
        "ERR_CONTEXT_LENGTH",
        `contextLength: expected an integer from 1 to ${limit} (the model's positions), got ${capacity}`,
      );
    this.capacity = capacity;
    this.vocabSize = config.vocabSize;
    const seq = { prefill: this.chunk("prefill"), all: this.chunk("all"), hidden: this.chunk("hidden") };
    this.graphs = new GraphSet(
      session,
      weights,
      (kind): HirModule =>
        family.build(config, (name) => weights.has(name), {
          name: `${config.architecture}.${kind}`,
          batch: 1,
          seq: kind === "decode" ? 1 : dim("seq", { min: 1, max: seq[kind] }),
          capacity,
          kvFormats,
          output: kind === "all" || kind === "hidden" ? kind : "last",
        }),
    );
  }

  /** Most tokens that one run of a graph takes. */
  chunk(kind: Exclude<Kind, "decode">): number {
    const most = Math.min(prefillTokens, this.capacity);
    return kind === "all" ? Math.max(1, Math.min(most, Math.floor(maxLogits / this.vocabSize))) : most;
  }

  /** A sequence for these tokens: the idle one that shares the longest prefix with them (of equals the one unused longest), or a new one. */
  async acquire(ids: readonly number[]): Promise<KvSequence> {
    const shared = this.#idle.map((s) => commonPrefix(s.tokens, ids));
    const best = shared.lastIndexOf(Math.max(...shared));
    const [reused] = best >= 0 ? this.#idle.splice(best, 1) : [];
    if (!reused) return this.createSequence();
    this.#active.add(reused);
    return reused;
  }

  /** An empty sequence, the caller's until it is disposed or released. */
  async createSequence(): Promise<KvSequence> {
    const sequence = new KvSequence(this, await this.graphs.createState("decode"));
    this.#active.add(sequence);
    return sequence;
  }

  /** For a sequence that is disposed. */
  forget(sequence: KvSequence): void {
    this.#active.delete(sequence);
  }

  /** Hand a sequence back for reuse. */
  release(sequence: KvSequence): void {
    this.#active.delete(sequence);
    if (this.#disposed) return;
    this.#idle.unshift(sequence);
    for (const old of this.#idle.splice(keptSequences)) old[Symbol.dispose]();
  }

  /** Logits [n, vocab] of every token: by prefill, or token by token through the cache. */
  async logits(ids: readonly number[], mode: "full" | "decode", signal?: AbortSignal): Promise<Tensor> {
    const out = new Float32Array(ids.length * this.vocabSize);
    await this.#rows(ids, mode === "full" ? "all" : "decode", "logits", out, signal);
    return new Tensor("f32", [ids.length, this.vocabSize], out);
  }

  /** Rows of the final norm [n, hidden]. */
  async hidden(ids: readonly number[], hiddenSize: number, signal?: AbortSignal): Promise<Tensor> {
    const out = new Float32Array(ids.length * hiddenSize);
    await this.#rows(ids, "hidden", "hidden", out, signal);
    return new Tensor("f32", [ids.length, hiddenSize], out);
  }

  async #rows(ids: readonly number[], kind: Kind, output: string, out: Float32Array<ArrayBuffer>, signal?: AbortSignal): Promise<void> {
    this.checkTokens(ids, 0);
    using state = await this.graphs.createState(kind);
    await this.runRows({ kind, output, state, ids, past: 0, out, signal });
  }

  /** Rows of an output for checked tokens, in as many runs as it takes. */
  async runRows({ kind, output, state, ids, past, out, signal }: RowsCall): Promise<void> {
    const width = out.length / ids.length;
    const step = kind === "decode" ? 1 : this.chunk(kind);
    for (let at = 0; at < ids.length; at += step) {
      const chunk = Int32Array.from(ids.slice(at, at + step));
      const into = { [output]: out.subarray(at * width, (at + chunk.length) * width) };
      await this.graphs.run(kind, { inputs: { input_ids: chunk, pos: past + at }, state, read: [output], into, signal });
    }
  }

  /** Refuse tokens that the model cannot take, before anything runs. */
  checkTokens(ids: readonly number[], past: number): void {
    if (ids.length === 0) throw new RlxError("ERR_TOKENS", "tokens: expected at least one id, got none");
    if (past + ids.length > this.capacity)
      throw new RlxError("ERR_CONTEXT_LENGTH", `tokens: expected at most ${this.capacity} (the context length), got ${past + ids.length}`);
    checkIds(ids, this.vocabSize);
  }

  /** Frees sequences in use too: a generation that nobody goes on with would keep its own forever. */
  [Symbol.dispose](): void {
    this.#disposed = true;
    for (const s of [...this.#idle.splice(0), ...this.#active]) s[Symbol.dispose]();
    this.graphs[Symbol.dispose]();
  }
}
