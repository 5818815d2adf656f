import { type Dim, dimEquals, dimMax } from "../dim.ts";
import { AttrError, RunError, ShapeError } from "../errors.ts";
import { overlap } from "../memory.ts";
import { attr, input, optional, type TensorType } from "../op.ts";
import { showType } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { expectRank, expectShape, product } from "./rules.ts";

// Where writes into KV caches go: shapes at build time, positions at run time. Every op that writes tokens into a cache uses this.

/** Operands that say where tokens go, behind the caches and the sources. */
export const kvPlaces = [
  input("pos", "int"),
  optional("slots", "int"),
  optional("tokens", "int"),
  optional("srcTokOffset", "int"),
] as const;

/** Attributes of every write: how the cache and the source lie, and what happens at the end of the cache. */
export const kvPlaceAttrs = {
  layout: attr.oneOf("token", "head"),
  xLayout: attr.oneOf("token", "head"),
  ring: attr.bool.default(false),
  trim: attr.bool.default(false),
};

/** What `kvPlaceAttrs` hold. */
export interface KvPlaceAttrs {
  readonly layout: "token" | "head";
  readonly xLayout: "token" | "head";
  readonly ring: boolean;
  readonly trim: boolean;
}

type KvPlace = (typeof kvPlaces)[number]["name"];

/** What operands are called in errors, where not as the ops call them. */
export interface KvPlaceNames {
  readonly names?: Readonly<Partial<Record<KvPlace, string | undefined>>>;
}

/** What `kvPlaces` are, as types or tensors: each [] or one per sequence of the source, `slots` always one per sequence. */
export interface KvPlaces<V> extends KvPlaceNames {
  readonly pos: V;
  readonly slots?: V | undefined;
  readonly tokens?: V | undefined;
  readonly srcTokOffset?: V | undefined;
}

/** Elements that a 32-bit index reaches. */
const maxElements = 2 ** 32;

/** @throws ShapeError for a cache of 2^32 elements or more at the upper bounds of its extents. */
export function expectElements(op: string, operand: string, t: TensorType): void {
  const elements = product(t.shape.map(dimMax));
  if (elements >= maxElements) throw new ShapeError(op, `${operand}: expected fewer than 2^32 elements, got ${elements} in ${showType(t)}`);
}

/** Sequences, tokens and elements per token of a source: token [N, S, width], head [N, H, S, D]. */
export function sourceExtents<D extends Dim>(
  xLayout: "token" | "head",
  shape: readonly D[],
): { sequences: D; tokens: D; inner: readonly D[] } {
  const [sequences, a, b, c] = shape;
  const [tokens, inner] = xLayout === "token" ? [a, [b]] : [b, [a, c]];
  return { sequences: sequences as D, tokens: tokens as D, inner: inner as D[] };
}

/** The type rules of a write: rank of the source, one place per sequence, `sequences` of the cache, and attributes that go together. */
export function checkKvPlaces(
  op: string,
  operand: string,
  x: TensorType,
  sequences: Dim,
  places: KvPlaces<TensorType>,
  { xLayout, ring, trim }: KvPlaceAttrs,
): void {
  if (trim && !ring) throw new AttrError(op, "trim: expected ring: true beside it, only a ring drops tokens");
  expectRank(op, operand, x, xLayout === "token" ? 3 : 4);
  const [n = 1] = x.shape;
  if (places.slots) expectShape(op, "slots", places.slots, [n]);
  else if (!dimEquals(n, sequences))
    throw new ShapeError(op, `${operand}: expected the cache's ${sequences} sequences (or slots that say which), got ${showType(x)}`);
  for (const name of ["pos", "tokens", "srcTokOffset"] as const) {
    const t = places[name];
    if (t && t.shape.length > 0) expectShape(op, name, t, [n]);
  }
}

/** Extents of a write. */
export interface KvSizes {
  /** What the cache is called in errors. */
  readonly cache: string;
  /** Sequences of the cache, and slots of each. */
  readonly sequences: number;
  readonly capacity: number;
  /** Sequences of the source, tokens of each, and elements of one token. */
  readonly rows: number;
  readonly tokens: number;
  readonly width: number;
}

/** Tokens that lie one after the other in the source and in the cache. */
export interface KvRun {
  /** Sequence of the source, and the first token of it. */
  readonly row: number;
  readonly token: number;
  /** Sequence of the cache, and the first slot of it. */
  readonly sequence: number;
  readonly slot: number;
  /** At least 1. */
  readonly count: number;
}

/**
 * What a write does, as runs without a wrap; at most two per sequence of the source, which may be none. A sequence of zero tokens is
 * left alone, whatever its position.
 * @throws RunError for what does not fit: before this returns, nothing may be written.
 */
export function planKvWrite(
  op: string,
  sizes: KvSizes,
  places: KvPlaces<Tensor>,
  { ring, trim }: Pick<KvPlaceAttrs, "ring" | "trim">,
): KvRun[] {
  const { cache, capacity } = sizes;
  const runs: KvRun[] = [];
  const taken = new Map<number, number>();
  for (let row = 0; row < (sizes.width === 0 ? 0 : sizes.rows); row++) {
    const exact = (what: KvPlace): bigint | undefined => places[what]?.getInt(places[what].shape.length === 0 ? 0 : row);
    // What a double rounds is far out of every bound.
    const at = (what: KvPlace, otherwise: number): number => Number(exact(what) ?? otherwise);
    const fail = (what: KvPlace, expected: string, got: number): RunError =>
      new RunError(op, `${places.names?.[what] ?? what} of sequence ${row}: expected ${expected}, got ${exact(what) ?? got}`);
    const offset = at("srcTokOffset", 0);
    const tokens = at("tokens", sizes.tokens - offset);
    if (tokens === 0) continue;
    if (offset < 0 || offset > sizes.tokens) throw fail("srcTokOffset", `0 to ${sizes.tokens}, the tokens of the source`, offset);
    if (tokens < 0 || offset + tokens > sizes.tokens)
      throw fail("tokens", `0 to ${sizes.tokens - offset}, the tokens of the source from ${offset} on`, tokens);
    if (capacity === 0) throw new RunError(op, `${cache}: expected a capacity of at least 1 for ${tokens} tokens, got 0`);
    const sequence = at("slots", row);
    if (sequence < 0 || sequence >= sizes.sequences) throw fail("slots", `0 to ${sizes.sequences - 1}, a sequence of ${cache}`, sequence);
    const other = taken.get(sequence);
    if (other !== undefined) throw fail("slots", `another one than sequence ${other} has`, sequence);
    taken.set(sequence, row);
    if (tokens > capacity && !trim)
      throw fail("tokens", `at most the ${capacity} slots of ${cache}${ring ? " (trim: true keeps the newest)" : ""}`, tokens);
    const pos = at("pos", 0);
    const last = ring ? Number.MAX_SAFE_INTEGER - tokens : capacity - tokens;
    if (pos < 0 || pos > last) throw fail("pos", `0 to ${last} for ${tokens} tokens in the ${capacity} slots of ${cache}`, pos);
    const dropped = Math.max(0, tokens - capacity);
    const count = tokens - dropped;
    const slot = (pos + dropped) % capacity;
    const first = Math.min(count, capacity - slot);
    runs.push({ row, token: offset + dropped, sequence, slot, count: first });
    if (count > first) runs.push({ row, token: offset + dropped + first, sequence, slot: 0, count: count - first });
  }
  return runs;
}

/** How vectors of `heads` heads lie: [sequences, slots, heads], or head-major [sequences, heads, slots]. */
export interface KvVectors {
  readonly order: "token" | "head";
  readonly heads: number;
  readonly slots: number;
}

/** Number of a vector. */
export function vectorIndex({ order, heads, slots }: KvVectors, sequence: number, slot: number, head: number): number {
  return order === "token" ? (sequence * slots + slot) * heads + head : (sequence * heads + head) * slots + slot;
}

/** f(vector of the cache, vector of the source) for every head of every token of the runs. */
export function eachVector(runs: readonly KvRun[], cache: KvVectors, source: KvVectors, f: (to: number, from: number) => void): void {
  for (const { row, token, sequence, slot, count } of runs)
    for (let i = 0; i < count; i++)
      for (let h = 0; h < cache.heads; h++) f(vectorIndex(cache, sequence, slot + i, h), vectorIndex(source, row, token + i, h));
}

/** Named memory of a write. */
export type KvMemory = Readonly<Record<string, ArrayBufferView>>;

/** @throws RunError when memory that is written is shared with any other operand. */
export function expectNoOverlap(op: string, written: KvMemory, read: KvMemory): void {
  const targets = Object.entries(written);
  for (const [i, [name, a]] of targets.entries())
    for (const [other, b] of [...targets.slice(i + 1), ...Object.entries(read)])
      if (overlap(a, b)) throw new RunError(op, `${other}: expected memory of its own, got memory that overlaps ${name}`);
}
