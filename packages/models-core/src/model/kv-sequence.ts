import { RlxError, showType, type Tensor } from "@rlxjs/ir";
import { runInSlices, type StateSet, type Work } from "@rlxjs/runtime";
import { cacheTokenAxis } from "../families/index.ts";
import type { AppendOptions, NextToken, SequenceSnapshot, SnapshotSequence } from "../generation/sequence.ts";
import type { DecoderModel } from "./decoder-model.ts";

/** A token sequence whose keys and values live in a StateSet of the device. Truncating it is a change of a number. */
export class KvSequence implements SnapshotSequence {
  readonly capacity: number;
  readonly #model: DecoderModel;
  readonly #state: StateSet;
  readonly #tokens: number[] = [];
  /** Reused by every read: a token allocates nothing of the vocabulary's size. */
  #logits: Float32Array<ArrayBuffer> | undefined;

  constructor(model: DecoderModel, state: StateSet) {
    this.#model = model;
    this.#state = state;
    this.capacity = model.capacity;
  }

  get tokens(): readonly number[] {
    return this.#tokens;
  }

  truncate(length: number): void {
    this.#checkLength("truncate", length);
    this.#tokens.length = length;
  }

  async append(ids: readonly number[], options: AppendOptions): Promise<NextToken> {
    const past = this.#tokens.length;
    this.#model.checkTokens(ids, past);
    const result = options.logits === "all" ? await this.#allLogits(ids, past, options.signal) : await this.#last(ids, past, options);
    // Only now: a run that failed has written rows behind the tokens, which nothing reads before they are written again.
    for (const id of ids) this.#tokens.push(id);
    return result;
  }

  async snapshot(length: number = this.#tokens.length): Promise<SequenceSnapshot> {
    this.#checkLength("snapshot", length);
    return runInSlices(this.#snapshot(length));
  }

  async restore({ tokens, rows }: SequenceSnapshot): Promise<void> {
    if (tokens.length > 0) this.#model.checkTokens(tokens, 0);
    const checked = this.#state.names.map((name) => [name, rowsFor(this.#state, name, tokens.length, rows.get(name))] as const);
    await runInSlices(this.#restore(tokens, checked));
  }

  *#snapshot(length: number): Work<SequenceSnapshot> {
    const rows = new Map<string, Tensor>();
    let bytes = 0;
    for (const name of this.#state.names) {
      const tensor = this.#state.readRows(name, cacheTokenAxis, length);
      rows.set(name, tensor);
      bytes += tensor.bytes.byteLength;
      yield undefined;
    }
    return { tokens: this.#tokens.slice(0, length), rows, bytes };
  }

  *#restore(tokens: readonly number[], rows: readonly (readonly [name: string, tensor: Tensor])[]): Work<void> {
    this.#tokens.length = 0;
    for (const [name, tensor] of rows) {
      this.#state.writeRows(name, cacheTokenAxis, tensor);
      yield undefined;
    }
    for (const id of tokens) this.#tokens.push(id);
  }

  /** Whole runs before the last one only fill the cache. */
  async #last(ids: readonly number[], past: number, { logits, signal }: AppendOptions): Promise<NextToken> {
    const step = this.#model.chunk("prefill");
    let at = 0;
    for (; ids.length - at > step; at += step) await this.#run("prefill", ids.slice(at, at + step), past + at, [], signal);
    const rest = ids.slice(at);
    const kind = rest.length === 1 ? "decode" : "prefill";
    if (!logits) {
      const { next } = await this.#run(kind, rest, past + at, ["next"], signal);
      return { greedy: next?.get(0) ?? 0 };
    }
    const row = this.#logitsOf(1);
    await this.#run(kind, rest, past + at, ["logits"], signal, { logits: row });
    return { logits: row };
  }

  async #allLogits(ids: readonly number[], past: number, signal: AbortSignal | undefined): Promise<NextToken> {
    const rows = this.#logitsOf(ids.length);
    const kind = ids.length === 1 ? "decode" : "all";
    await this.#model.runRows({ kind, output: "logits", state: this.#state, ids, past, out: rows, signal });
    return { logits: rows };
  }

  /** Memory for the logits of so many tokens. */
  #logitsOf(rows: number): Float32Array<ArrayBuffer> {
    const size = rows * this.#model.vocabSize;
    if (!this.#logits || this.#logits.length < size) this.#logits = new Float32Array(size);
    return this.#logits.length === size ? this.#logits : this.#logits.subarray(0, size);
  }

  #run(
    kind: "decode" | "prefill",
    ids: readonly number[],
    pos: number,
    read: readonly string[],
    signal?: AbortSignal,
    into: Record<string, Float32Array<ArrayBuffer>> = {},
  ) {
    return this.#model.graphs.run(kind, { inputs: { input_ids: Int32Array.from(ids), pos }, state: this.#state, read, into, signal });
  }

  #checkLength(what: string, length: number): void {
    if (!Number.isSafeInteger(length) || length < 0 || length > this.#tokens.length)
      throw new RlxError(`ERR_${what.toUpperCase()}`, `${what}: expected a length of 0 to ${this.#tokens.length}, got ${length}`);
  }

  [Symbol.dispose](): void {
    this.#model.forget(this);
    this.#state[Symbol.dispose]();
  }
}

/** A snapshot's rows of one state, checked. */
function rowsFor(state: StateSet, name: string, length: number, given: Tensor | undefined): Tensor {
  const { dtype, shape } = state.typeOf(name);
  const expected = showType({ dtype, shape: shape.map((d, i) => (i === cacheTokenAxis ? length : d)) });
  if (!given || showType(given) !== expected)
    throw new RlxError("ERR_SNAPSHOT", `snapshot: state "${name}": expected ${expected}, got ${given ? showType(given) : "nothing"}`);
  return given;
}
