import { AttrError, RunError, ShapeError } from "../errors.ts";
import { decodeKvVector, encodeKvVector, type KvCodec } from "./codec.ts";
import { fwhtThenSign } from "./hadamard.ts";

/** A cache of quantized K or V rows: one vector per KV head and slot, in head-major [heads, capacity] or token-major [capacity, heads] order. */
export interface QuantizedKv {
  readonly codec: KvCodec;
  readonly layout: "head" | "token";
  readonly numKvHeads: number;
  /** Slots per head. */
  readonly capacity: number;
  /** codec.packedBytes for each vector. */
  readonly packed: Uint8Array;
  /** codec.norms for each vector. */
  readonly norms: Float32Array;
}

/** Which positions: absolute ones; a ring keeps position p in slot p modulo capacity. */
export interface KvRange {
  /** The first position. */
  readonly pos: number;
  readonly ring?: boolean;
}

export interface KvWriteOptions extends KvRange {
  /** How many tokens to write; default: all of the source after srcTokOffset. */
  readonly tokens?: number;
  /** First token of the source that is written, to position `pos`; default 0. */
  readonly srcTokOffset?: number;
  /** Write the newest `capacity` tokens when a ring holds fewer than are given; otherwise that is an error. */
  readonly trim?: boolean;
}

export interface KvReadOptions extends KvRange {
  /** Default 1. */
  readonly tokens?: number;
  /** `"rotated"` (default): as stored, for attention with rotated queries; `"plain"`: rotated back. */
  readonly domain?: "rotated" | "plain";
}

/** Elements that a 32-bit index reaches. */
const maxElements = 2 ** 32;

/** @throws AttrError for sizes that are no natural numbers, ShapeError for 2^32 values or more. */
export function allocQuantizedKv(
  codec: KvCodec,
  sizes: { readonly numKvHeads: number; readonly capacity: number; readonly layout?: "head" | "token" },
): QuantizedKv {
  const { numKvHeads, capacity, layout = "head" } = sizes;
  natural("alloc_quantized_kv", "numKvHeads", numKvHeads);
  natural("alloc_quantized_kv", "capacity", capacity);
  const vectors = numKvHeads * capacity;
  checkElements("alloc_quantized_kv", codec, numKvHeads, capacity);
  return {
    codec,
    layout,
    numKvHeads,
    capacity,
    packed: new Uint8Array(vectors * codec.packedBytes),
    norms: new Float32Array(vectors * codec.norms),
  };
}

function natural(op: string, name: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) throw new AttrError(op, `${name}: expected an integer of at least 0, got ${value}`);
}

function checkElements(op: string, codec: KvCodec, numKvHeads: number, capacity: number): void {
  const elements = numKvHeads * capacity * codec.headDim;
  if (elements >= maxElements) throw new ShapeError(op, `cache: expected fewer than 2^32 elements, got ${elements}`);
}

function checkCache(op: string, cache: QuantizedKv): void {
  natural(op, "numKvHeads", cache.numKvHeads);
  natural(op, "capacity", cache.capacity);
  checkElements(op, cache.codec, cache.numKvHeads, cache.capacity);
  const vectors = cache.numKvHeads * cache.capacity;
  for (const [name, data, each] of [
    ["packed", cache.packed, cache.codec.packedBytes],
    ["norms", cache.norms, cache.codec.norms],
  ] as const)
    if (data.length !== vectors * each) throw new ShapeError(op, `${name}: expected ${vectors * each} elements, got ${data.length}`);
}

/** The range fits: below the capacity, or, in a ring, not longer than it. */
function checkRange(op: string, cache: QuantizedKv, range: KvRange, tokens: number): void {
  if (cache.capacity === 0) throw new RunError(op, "capacity: expected at least 1, got 0");
  if (range.ring) {
    if (tokens > cache.capacity) throw new RunError(op, `tokens: expected at most the ring's capacity ${cache.capacity}, got ${tokens}`);
    return;
  }
  const end = range.pos + tokens;
  if (end > cache.capacity) throw new RunError(op, `pos: expected positions up to capacity ${cache.capacity}, got [${range.pos}, ${end})`);
}

function overlaps(a: ArrayBufferView, b: ArrayBufferView): boolean {
  return a.buffer === b.buffer && a.byteOffset < b.byteOffset + b.byteLength && b.byteOffset < a.byteOffset + a.byteLength;
}

/** Codes and norms of the vector of a head at an absolute position, over the cache's memory. */
function vectorAt(cache: QuantizedKv, head: number, pos: number): { packed: Uint8Array; norms: Float32Array } {
  const slot = pos % cache.capacity;
  const index = cache.layout === "head" ? head * cache.capacity + slot : slot * cache.numKvHeads + head;
  const { packedBytes, norms } = cache.codec;
  return {
    packed: cache.packed.subarray(index * packedBytes, (index + 1) * packedBytes),
    norms: cache.norms.subarray(index * norms, (index + 1) * norms),
  };
}

/** What a checked write does: `tokens` tokens of the source from `from` on, to positions from `pos` on. */
interface Plan {
  readonly tokens: number;
  readonly from: number;
  readonly pos: number;
}

function planWrite(op: string, cache: QuantizedKv, src: Float32Array, options: KvWriteOptions): Plan {
  const { pos, srcTokOffset = 0 } = options;
  checkCache(op, cache);
  natural(op, "pos", pos);
  natural(op, "srcTokOffset", srcTokOffset);
  const row = cache.numKvHeads * cache.codec.headDim;
  if (options.tokens === undefined && row > 0 && src.length % row !== 0)
    throw new ShapeError(op, `src: expected a multiple of numKvHeads * headDim = ${row} elements, got ${src.length}`);
  const available = row === 0 ? 0 : Math.max(0, Math.floor(src.length / row) - srcTokOffset);
  const { tokens = available } = options;
  natural(op, "tokens", tokens);
  if (tokens === 0 || row === 0) return { tokens: 0, from: 0, pos };
  if (tokens > available)
    throw new ShapeError(op, `src: expected at least ${(srcTokOffset + tokens) * row} elements for ${tokens} tokens, got ${src.length}`);
  const dropped = options.ring && options.trim ? Math.max(0, tokens - cache.capacity) : 0;
  const plan = { tokens: tokens - dropped, from: srcTokOffset + dropped, pos: pos + dropped };
  checkRange(op, cache, { ...options, pos: plan.pos }, plan.tokens);
  return plan;
}

/** All writes are checked, then all are done. */
function writeAll(
  op: string,
  writes: readonly { readonly cache: QuantizedKv; readonly src: Float32Array }[],
  options: KvWriteOptions,
): void {
  const planned = writes
    .map((write) => ({ ...write, plan: planWrite(op, write.cache, write.src, options) }))
    .filter(({ plan }) => plan.tokens > 0);
  const outputs = planned.flatMap(({ cache }) => [cache.packed, cache.norms]);
  if (outputs.some((a, i) => outputs.slice(i + 1).some((b) => overlaps(a, b))))
    throw new RunError(op, "cache: expected codes and norms in memory of their own, got overlapping ranges");
  if (planned.some(({ src }) => outputs.some((out) => overlaps(src, out))))
    throw new RunError(op, "src: expected no overlap with the cache, got overlapping ranges");
  for (const { cache, src, plan } of planned) {
    const { headDim } = cache.codec;
    for (let t = 0; t < plan.tokens; t++)
      for (let head = 0; head < cache.numKvHeads; head++) {
        const at = ((plan.from + t) * cache.numKvHeads + head) * headDim;
        const { packed, norms } = vectorAt(cache, head, plan.pos + t);
        encodeKvVector(cache.codec, src.subarray(at, at + headDim), packed, norms);
      }
  }
}

/**
 * Encode tokens of src [srcTokens, numKvHeads, headDim] into the cache at positions from options.pos on. Nothing to write is no error.
 * @throws ShapeError for buffers of the wrong length, RunError for positions that do not fit or overlapping memory, AttrError for options
 * that are no natural numbers; the cache is then unchanged.
 */
export function quantizeKv(cache: QuantizedKv, src: Float32Array, options: KvWriteOptions): void {
  writeAll("quantize_kv", [{ cache, src }], options);
}

/** `quantizeKv` of K and V at the same positions; formats may differ. Both are checked before either is written. */
export function quantizeKvPair(
  caches: { readonly k: QuantizedKv; readonly v: QuantizedKv },
  src: { readonly k: Float32Array; readonly v: Float32Array },
  options: KvWriteOptions,
): void {
  const writes = [
    { cache: caches.k, src: src.k },
    { cache: caches.v, src: src.v },
  ];
  writeAll("quantize_kv_pair", writes, options);
}

/** Positions from options.pos on, as [tokens, numKvHeads, headDim]. Errors as `quantizeKv`. */
export function dequantizeKv(cache: QuantizedKv, options: KvReadOptions): Float32Array<ArrayBuffer> {
  const { pos, tokens = 1, domain = "rotated" } = options;
  checkCache("dequantize_kv", cache);
  natural("dequantize_kv", "pos", pos);
  natural("dequantize_kv", "tokens", tokens);
  const { headDim } = cache.codec;
  if (tokens * cache.numKvHeads > 0) checkRange("dequantize_kv", cache, options, tokens);
  const out = new Float32Array(tokens * cache.numKvHeads * headDim);
  for (let t = 0; t < tokens; t++)
    for (let head = 0; head < cache.numKvHeads; head++) {
      const { packed, norms } = vectorAt(cache, head, pos + t);
      const at = (t * cache.numKvHeads + head) * headDim;
      decodeKvVector(cache.codec, packed, norms, out.subarray(at, at + headDim));
    }
  if (domain === "plain") fwhtThenSign(out, headDim);
  return out;
}
