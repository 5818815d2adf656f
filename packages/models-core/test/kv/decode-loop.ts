import type { Tensor } from "@rlxjs/ir";
import { type BucketRange, BucketedCompileCache, type CompileSource, type Session } from "@rlxjs/runtime";
import {
  GpuKvBinding,
  KvCacheState,
  type KvDecodeResult,
  type KvMaskOptions,
  runBucketedKvDecode,
  runBucketedKvDecodeGpu,
} from "../../src/index.ts";
import { kvDimsOf, type TinyForm, tinyGraph, tinyVocab, tinyWeights } from "./tiny-model.ts";

/** Uppers 4, 8, 16 and 32; an empty past is in the first. */
export const buckets: readonly BucketRange[] = [
  { start: 0, end: 5 },
  { start: 5, end: 9 },
  { start: 9, end: 17 },
  { start: 17, end: 33 },
];

/** The id of the largest logit of every sequence, the first of equals; `logits` [batch, rows, vocab] at its last row. */
export function greedy(logits: Tensor): number[] {
  const [batch = 0, rows = 1] = logits.shape;
  return Array.from({ length: batch }, (_, b) => {
    const row = lastRow(logits, b, rows);
    return row.indexOf(Math.max(...row));
  });
}

export const lastRow = (logits: Tensor, b: number, rows = logits.shape[1] ?? 1): number[] =>
  Array.from(logits.values().slice(((b + 1) * rows - 1) * tinyVocab, (b + 1) * rows * tinyVocab));

export interface Loop extends Disposable {
  readonly kv: KvCacheState;
  readonly cache: BucketedCompileCache;
  readonly binding: GpuKvBinding;
  step(ids: readonly number[], signal?: AbortSignal): Promise<KvDecodeResult>;
}

export interface LoopOptions {
  readonly where: "host" | "resident";
  readonly kv?: KvCacheState;
  readonly ranges?: readonly BucketRange[];
  readonly mask?: KvMaskOptions;
  readonly refreshKv?: boolean;
  /** Shared with others; default: of its own. */
  readonly binding?: GpuKvBinding;
  readonly cache?: BucketedCompileCache;
}

/** Decodes token by token with the tiny model. */
export function decodeLoop(session: Session, form: TinyForm & { readonly batch: number }, options: LoopOptions): Loop {
  const { where, ranges = buckets, mask = {}, refreshKv = false } = options;
  const weights = tinyWeights(form.kvHeads);
  const kv = options.kv ?? new KvCacheState({ batch: form.batch, kvDims: kvDimsOf(form.kvHeads) });
  const cache = options.cache ?? new BucketedCompileCache(session, ranges);
  const binding = options.binding ?? new GpuKvBinding();
  const rows = Number(form.rows ?? 1);
  const build = (upper: number) => ({ graph: tinyGraph(form.past === "state" ? upper + rows : upper, form, weights), params: weights });
  return {
    kv,
    cache,
    binding,
    step: (ids, signal) => {
      const call = { cache, kv, inputs: { input_ids: Int32Array.from(ids) }, build, mask, ...(signal ? { signal } : {}) };
      return where === "host" ? runBucketedKvDecode(call) : runBucketedKvDecodeGpu({ ...call, binding, refreshKv });
    },
    [Symbol.dispose]: () => {
      if (!options.binding) binding[Symbol.dispose]();
      if (!options.cache) cache[Symbol.dispose]();
    },
  };
}

/** Logits of whole sequences [batch][position][vocab], computed without a cache. */
export async function recompute(session: Session, kvHeads: readonly number[], sequences: readonly (readonly number[])[], window?: number) {
  const weights = tinyWeights(kvHeads);
  const [rows, batch] = [sequences[0]?.length ?? 0, sequences.length];
  const graph: CompileSource = tinyGraph(rows, { past: "full", kvHeads, batch, rows, ...(window ? { window } : {}) }, weights);
  using compiled = await session.compile(graph, { overrides: weights });
  const { logits } = await compiled.run({ inputs: { input_ids: Int32Array.from(sequences.flat()), pos: 0 } });
  const values = Array.from(logits?.values() ?? []);
  return sequences.map((_, b) =>
    Array.from({ length: rows }, (_, r) => values.slice((b * rows + r) * tinyVocab, (b * rows + r + 1) * tinyVocab)),
  );
}

export const maxDifference = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Math.max(a.length === b.length ? 0 : Number.POSITIVE_INFINITY, ...Array.from(a, (v, i) => Math.abs(v - (b[i] ?? Number.NaN))));
