import { argmax, GenerationOptionError, Sampler, type SamplingOptions } from "../generation/sampler.ts";
import { checkCount, SpeculativeError } from "./errors.ts";

/** A model that can run a block of placeholders beside decoding token by token; a sequence of its own. */
export interface BlockModel {
  /** Tokens whose rows are in the cache. */
  readonly pastLen: number;
  /** Most tokens that the cache holds. */
  readonly capacity: number;
  /** Run `ids` behind the past, causal; their rows stay. Gives the logits [vocab] behind the last one, in memory that later runs leave alone. */
  append(ids: readonly number[], signal?: AbortSignal): Promise<Float32Array>;
  /** Run `ids` behind the past as a block whose rows see each other. */
  block(ids: readonly number[], signal?: AbortSignal): Promise<BlockRun>;
  /** Forget the tokens from `length` on. */
  truncate(length: number): void;
}

/** A block that has been run. The cache is as before until `commit`. */
export interface BlockRun {
  /** [rows, vocab], all rows. */
  readonly logits: Float32Array;
  /** Keep the first `rows` rows of the block in the cache. */
  commit(rows: number): void;
}

/** What a judge sees of a block: row r says what token r behind the text may be. */
export interface BlockSlab {
  readonly rows: number;
  readonly vocab: number;
  /** [rows, vocab]. */
  readonly logits: Float32Array;
}

export interface BlockVerdict {
  /** Tokens that the text goes on with, at least one and at most one per row. */
  readonly ids: readonly number[];
  /** Rows of the block that stay in the cache for them, at most as many. The other tokens are run again, for rows of their own. Default: all. */
  readonly rows?: number;
  /** Hybrid decoding goes on token by token. */
  readonly fallback?: boolean;
}

/** Decides what of a block becomes text; undefined: nothing. */
export type BlockJudge = (slab: BlockSlab, tokens: readonly number[]) => BlockVerdict | undefined;

export interface BlockDecodeOptions extends SamplingOptions {
  /** `slow`: token by token; `fast`: blocks only, of a refused one its first token; `hybrid`: blocks, and token by token where one is refused. */
  readonly mode: "slow" | "fast" | "hybrid";
  /** Rows of a block: a copy of the last token, and placeholders. */
  readonly block: number;
  /** The placeholder. */
  readonly maskId: number;
  readonly judge: BlockJudge;
  /** Hybrid: whether to go back to blocks behind this token. Default: behind any. */
  readonly resume?: (id: number) => boolean;
  /** Most tokens; default: until the cache is full. */
  readonly maxTokens?: number;
  readonly stopTokens?: readonly number[];
  readonly signal?: AbortSignal;
}

export interface BlockCounts {
  /** Blocks of which text was taken, and that were refused. */
  readonly acceptedBlocks: number;
  readonly refusedBlocks: number;
  /** Tokens that came of blocks, and one by one. */
  readonly blockTokens: number;
  readonly singleTokens: number;
  /** Changes from blocks to single tokens, and back. */
  readonly fallbacks: number;
  readonly returns: number;
}

export interface BlockPiece {
  readonly ids: readonly number[];
  readonly from: "block" | "token";
  /** So far. */
  readonly counts: BlockCounts;
}

/** Continue `prompt` in an empty cache by blocks, token by token, or both. A stop token ends it and is not given. */
export async function* decodeBlocks(
  model: BlockModel,
  prompt: readonly number[],
  options: BlockDecodeOptions,
): AsyncGenerator<BlockPiece, void, void> {
  const { mode, maxTokens = Number.POSITIVE_INFINITY, stopTokens = [], resume = () => true, signal } = options;
  if (!(maxTokens >= 0)) throw new GenerationOptionError("maxTokens", "a number >= 0", maxTokens);
  checkCount("block", options.block, 1);
  checkCount("prompt: tokens", prompt.length, 1);
  const sampler = new Sampler(options);
  const tokens = [...prompt];
  const counts = { acceptedBlocks: 0, refusedBlocks: 0, blockTokens: 0, singleTokens: 0, fallbacks: 0, returns: 0 };
  let blocks = mode !== "slow";
  /** The logits behind the last token, where it has been run by itself and nothing was drawn from them yet. */
  let behind: Float32Array | undefined;

  /** Run the tokens that have no rows. */
  const catchUp = async (): Promise<void> => {
    const missing = tokens.slice(model.pastLen);
    if (missing.length > 0) behind = await model.append(missing, signal);
  };
  /** One block; undefined: it was refused and nothing has changed. */
  const tryBlock = async (): Promise<readonly number[] | undefined> => {
    await catchUp();
    const ids = [tokens.at(-1) ?? 0, ...new Array<number>(options.block - 1).fill(options.maskId)];
    const run = await model.block(ids, signal);
    const slab = slabOf(run.logits, ids.length);
    const verdict = options.judge(slab, tokens);
    counts[verdict ? "acceptedBlocks" : "refusedBlocks"]++;
    if (verdict) {
      run.commit(checkVerdict(verdict, slab));
      behind = undefined;
      if (verdict.fallback && mode === "hybrid") leaveBlocks();
      return verdict.ids;
    }
    if (mode === "hybrid") return void leaveBlocks();
    run.commit(1);
    behind = undefined;
    return [sampler.next(rowOf(slab, 0).slice(), tokens)];
  };
  const leaveBlocks = (): void => {
    blocks = false;
    counts.fallbacks++;
  };
  const nextToken = async (): Promise<readonly number[]> => {
    await catchUp();
    if (!behind) {
      // The last token came of a block, which knew nothing of it when it guessed the ones behind: it is run by itself.
      model.truncate(tokens.length - 1);
      await catchUp();
    }
    const id = sampler.next(behind ?? new Float32Array(), tokens);
    behind = undefined;
    if (mode === "hybrid" && resume(id)) {
      blocks = true;
      counts.returns++;
    }
    return [id];
  };

  for (let given = 0; given < maxTokens && tokens.length < model.capacity; ) {
    signal?.throwIfAborted();
    const fits = tokens.length + options.block <= model.capacity;
    const blockIds = blocks && fits ? await tryBlock() : undefined;
    const ids = blockIds ?? (await nextToken());
    const end = ids.findIndex((id) => stopTokens.includes(id));
    const kept = ids.slice(0, Math.min(maxTokens - given, end < 0 ? ids.length : end));
    counts[blockIds ? "blockTokens" : "singleTokens"] += kept.length;
    tokens.push(...ids);
    given += kept.length;
    if (kept.length > 0) yield { ids: kept, from: blockIds ? "block" : "token", counts: { ...counts } };
    if (end >= 0) return;
  }
}

/** The logits [vocab] of a row. */
export const rowOf = ({ logits, vocab }: BlockSlab, row: number): Float32Array => logits.subarray(row * vocab, (row + 1) * vocab);

/** The probabilities [vocab] of a row. */
export function blockProbabilities(slab: BlockSlab, row: number): Float64Array {
  const logits = rowOf(slab, row);
  const peak = logits[argmax(logits)] ?? 0;
  const weights = Float64Array.from(logits, (v) => Math.exp(v - peak));
  const total = weights.reduce((a, b) => a + b, 0);
  return weights.map((w) => w / total);
}

function slabOf(logits: Float32Array, rows: number): BlockSlab {
  const vocab = logits.length / rows;
  // A judge that got one row of several would find zeros in the others and refuse everything, without a word.
  if (!Number.isSafeInteger(vocab) || vocab === 0)
    throw new SpeculativeError("block: logits", `${rows} whole rows`, `${logits.length} elements`);
  return { rows, vocab, logits };
}

function checkVerdict({ ids, rows = ids.length }: BlockVerdict, slab: BlockSlab): number {
  checkCount("verdict: tokens", ids.length, 1, slab.rows);
  checkCount("verdict: rows", rows, 0, ids.length);
  for (const id of ids) checkCount("verdict: token", id, 0, slab.vocab - 1);
  return rows;
}
