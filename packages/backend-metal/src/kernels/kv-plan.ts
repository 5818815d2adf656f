import { type AttrRecord, type Dim, dtypeCode, dtypes, productOf } from "@rlxjs/ir";
import type { Operand, Step } from "@rlxjs/runtime";
import { add, ceilDiv, type Expr, max, min, mul, sub } from "../expr.ts";
import { type Argument, type BufferArgument, type Refusal, read, uint } from "../launch.ts";

// Where tokens go in KV caches: what shaders/kv_plan.h takes, and words for what it refuses.

/** Operands that say where tokens go. */
export interface Places {
  readonly pos: Operand;
  readonly slots?: Operand | undefined;
  readonly tokens?: Operand | undefined;
  readonly offset?: Operand | undefined;
}

/** The places of a write: its operands from slot `first` on. */
export function placesOf(step: Step, first: number): Places {
  const [pos, slots, tokens, offset] = step.inputs.slice(first, first + 4);
  if (!pos) throw new TypeError(`step ${step.op}: expected positions in slot ${first}`);
  return { pos, slots, tokens, offset };
}

/** Function constants 0 to 8. */
export const placeConstants = ({ pos, slots, tokens, offset }: Places, { ring, trim }: AttrRecord): (boolean | number)[] => [
  ring === true,
  trim === true,
  dtypeCode(pos.dtype),
  ...[slots, tokens, offset].flatMap((t) => [t !== undefined, t ? dtypeCode(t.dtype) : 0]),
];

export const placeBuffers = ({ pos, slots, tokens, offset }: Places): BufferArgument[] => [pos, slots, tokens, offset].map((t) => read(t));

/** uint: how far the values of two sequences are apart; 0: there is one for all. */
export const stride = (t: Operand | undefined): Argument => uint(t && t.shape.length > 0 ? 1 : 0);

/** A source of tokens: `rows` sequences of `tokens` each. */
export interface Source {
  readonly rows: Dim;
  readonly tokens: Dim;
}

/** Extents of a source, token-major [rows, tokens, width] or head-major [rows, heads, tokens, dim]. */
export function sourceOf(x: Operand, headMajor: boolean): Source & { readonly width: Dim } {
  const [rows = 0, a = 0, b = 0, c = 0] = x.shape;
  return headMajor ? { rows, tokens: b, width: productOf([a, c]) } : { rows, tokens: a, width: b };
}

/** KvPlan; `overlap`: see `firstOverlap`. */
export const planArguments = ({ rows, tokens }: Source, places: Places, overlap: Expr): Argument[] => [
  uint(rows),
  uint(tokens),
  ...[places.pos, places.tokens, places.offset].map(stride),
  uint(overlap),
];

/** KvCache: what tokens are written into. */
export interface Cache {
  readonly sequences: Dim;
  readonly capacity: Dim;
  readonly heads: Expr;
  readonly dim: Dim;
}
export const cacheArguments = ({ sequences, capacity, heads, dim }: Cache): Argument[] => [sequences, capacity, heads, dim].map(uint);

/** At least one threadgroup, since also a launch that writes nothing looks at its plan. */
export const groupsOf = (items: Expr, perGroup: number): Expr => max(1, ceilDiv(items, perGroup));

/** Pairs of operands that may not share memory: what is written, each with all behind it and all that is read. */
const pairsOf = <T>(written: readonly T[], others: readonly T[]): (readonly [T, T])[] =>
  written.flatMap((a, i) => [...written.slice(i + 1), ...others].map((b) => [a, b] as const));

const byteEnd = ({ offset, dtype, shape }: Operand): Expr => {
  const { blockBytes, blockSize } = dtypes[dtype];
  return add(offset, mul(productOf(shape), blockBytes / blockSize));
};

/** 1 if two operands share bytes, else 0. */
function overlaps(a: Operand, b: Operand): Expr {
  if (a.buffer !== b.buffer) return 0;
  return max(0, min(1, sub(min(byteEnd(a), byteEnd(b)), max(a.offset, b.offset))));
}

/** The number from 1 of the first pair that shares memory; 0: none does. */
export const firstOverlap = (written: readonly Operand[], others: readonly Operand[]): Expr =>
  pairsOf(written, others).reduceRight<Expr>((later, [a, b], i) => {
    const found = overlaps(a, b);
    return add(mul(found, i + 1), mul(sub(1, found), later));
  }, 0);

/** What is called what in errors. */
export interface KvNames {
  /** Of the caches as they are counted: K, then V. */
  readonly caches: readonly string[];
  /** Of memory that is written, and of sources. */
  readonly written: readonly string[];
  readonly sources: readonly string[];
}

const low = (pair: bigint): bigint => pair & 0xffffffffn;
const high = (pair: bigint): bigint => pair >> 32n;
const lastPosition = BigInt(Number.MAX_SAFE_INTEGER);

/** By KvFault of shaders/kv_plan.h. */
const words: Readonly<Record<number, (values: Refusal["values"], cache: string, ring: boolean, names: KvNames) => string>> = {
  1: ([row, offset]) => `srcTokOffset of sequence ${low(row)}: expected 0 to ${high(row)}, the tokens of the source, got ${offset}`,
  2: ([row, offset, tokens]) =>
    `tokens of sequence ${low(row)}: expected 0 to ${high(row) - offset}, the tokens of the source from ${offset} on, got ${tokens}`,
  3: ([tokens], cache) => `${cache}: expected a capacity of at least 1 for ${tokens} tokens, got 0`,
  4: ([row, sequence], cache) => `slots of sequence ${low(row)}: expected 0 to ${high(row) - 1n}, a sequence of ${cache}, got ${sequence}`,
  5: ([rows, sequence]) => `slots of sequence ${low(rows)}: expected another one than sequence ${high(rows)} has, got ${sequence}`,
  6: ([row, tokens], cache, ring) =>
    `tokens of sequence ${low(row)}: expected at most the ${high(row)} slots of ${cache}${ring ? " (trim: true keeps the newest)" : ""}, got ${tokens}`,
  7: ([row, tokens, pos], cache, ring) => {
    const last = (ring ? lastPosition : high(row)) - tokens;
    return `pos of sequence ${low(row)}: expected 0 to ${last} for ${tokens} tokens in the ${high(row)} slots of ${cache}, got ${pos}`;
  },
  8: ([pair], _cache, _ring, { written, sources }) => {
    const [name, other] = pairsOf(written, sources)[Number(pair) - 1] ?? [];
    return `${other}: expected memory of its own, got memory that overlaps ${name}`;
  },
  9: ([capacity, tokens], cache) => `tokens: expected at most the ${capacity} slots of ${cache}, got ${tokens}`,
};
const CACHE_STEP = 16;

export function kvRefusal({ attrs }: Step, { code, values }: Refusal, names: KvNames): string {
  const say = words[code % CACHE_STEP];
  const cache = names.caches[Math.floor(code / CACHE_STEP)];
  if (!say || cache === undefined) throw new TypeError(`expected a refusal of a KV cache, got code ${code}`);
  return say(values, cache, attrs.ring === true, names);
}
