import { q8Dim, quantize } from "../blocks.ts";
import { type Dim, dimEquals, divDims, mulDims, productOf } from "../dim.ts";
import { byteLength, isFloat } from "../dtype.ts";
import { AttrError, ShapeError } from "../errors.ts";
import type { TensorType } from "../op.ts";
import { showType } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { sameMemory } from "./copy.ts";
import {
  checkKvPlaces,
  eachVector,
  expectElements,
  expectNoOverlap,
  type KvPlaceAttrs,
  type KvPlaces,
  type KvRun,
  planKvWrite,
  sourceExtents,
} from "./kv-plan.ts";
import { expectRank, expectShape } from "./rules.ts";

// One cache and what is written into it, with the names that the op's operands have.

export interface KvPair<V> {
  readonly names: { readonly cache: string; readonly x: string; readonly headDim: string };
  readonly cache: V;
  readonly x: V;
  /** The attribute that `names.headDim` names. */
  readonly headDim: number | undefined;
}

/** Values of a vector in the cache. */
const storedDim = (cache: TensorType, dim: Dim): Dim => (cache.dtype === "q8_0" ? q8Dim(Number(dim)) : dim);

/** A token as heads of `dim` values, as far as the shapes say; rows of a token-major cache may be one vector. */
function vectorsOf(
  cache: readonly Dim[],
  x: readonly Dim[],
  headDim: number | undefined,
  { layout, xLayout }: KvPlaceAttrs,
): { heads: Dim | undefined; dim: Dim; width: Dim } {
  const { inner } = sourceExtents(xLayout, x);
  const width = productOf(inner);
  const dim = headDim ?? (xLayout === "head" ? inner[1] : layout === "head" ? cache[3] : undefined) ?? width;
  if (xLayout === "head") return { heads: inner[0], dim, width };
  if (layout === "head") return { heads: cache[1], dim, width };
  return { heads: dimEquals(dim, width) ? 1 : divDims(width, dim), dim, width };
}

/** The type rules of a write into one cache; its next version has its type. */
export function inferKvWrite(op: string, pair: KvPair<TensorType>, places: KvPlaces<TensorType>, attrs: KvPlaceAttrs): TensorType {
  const { names, cache, x, headDim } = pair;
  const { layout } = attrs;
  if (!isFloat(cache.dtype) && cache.dtype !== "q8_0")
    throw new ShapeError(op, `${names.cache}: expected a float dtype or q8_0, got ${showType(cache)}`);
  if (headDim !== undefined && headDim < 1) throw new AttrError(op, `${names.headDim}: expected at least 1, got ${headDim}`);
  if (cache.dtype === "q8_0" && headDim === undefined)
    throw new AttrError(op, `${names.headDim}: expected it beside ${names.cache} ${showType(cache)}, got nothing`);
  expectElements(op, names.cache, cache);
  expectRank(op, names.cache, cache, layout === "token" ? 3 : 4);
  const [sequences = 1, a = 1, b = 1] = cache.shape;
  checkKvPlaces(op, names.x, x, sequences, places, attrs);
  const { heads, dim, width } = vectorsOf(cache.shape, x.shape, headDim, attrs);
  if (heads === undefined || !dimEquals(mulDims(heads, dim), width))
    throw new ShapeError(op, `${names.x}: expected heads of ${dim} values, got ${showType(x)}`);
  const stored = storedDim(cache, dim);
  const shape = layout === "token" ? [sequences, a, mulDims(heads, stored)] : [sequences, heads, b, stored];
  expectShape(op, names.cache, cache, shape);
  return cache;
}

/** A pair with the memory that its next version is written to. */
interface KvTarget extends KvPair<Tensor> {
  readonly out: Tensor;
}

/** Check the writes into all caches, then do them. */
export function runKvWrites(op: string, targets: readonly KvTarget[], places: KvPlaces<Tensor>, attrs: KvPlaceAttrs): void {
  const plans = targets.map(({ names, cache, x }) => {
    const { sequences: rows, tokens, inner } = sourceExtents(attrs.xLayout, x.shape);
    const capacity = cache.shape[attrs.layout === "token" ? 1 : 2] ?? 0;
    const sizes = { cache: names.cache, sequences: cache.shape[0] ?? 0, capacity, rows, tokens, width: Number(productOf(inner)) };
    return planKvWrite(op, sizes, places, attrs);
  });
  if (plans.some((runs) => runs.length > 0)) {
    const memory = (which: "out" | "x") =>
      Object.fromEntries(targets.map((t) => [t.names[which === "out" ? "cache" : "x"], t[which].data]));
    expectNoOverlap(op, memory("out"), memory("x"));
  }
  for (const [i, target] of targets.entries()) {
    const { cache, out } = target;
    if (!sameMemory(out, cache)) out.bytes.set(cache.bytes);
    writeRuns(target, plans[i] ?? [], attrs);
  }
}

function writeRuns({ out, x, headDim }: KvTarget, runs: readonly KvRun[], attrs: KvPlaceAttrs): void {
  const { layout, xLayout } = attrs;
  const { tokens } = sourceExtents(xLayout, x.shape);
  const vectors = vectorsOf(out.shape, x.shape, headDim, attrs);
  const [heads, dim] = [Number(vectors.heads), Number(vectors.dim)];
  const capacity = out.shape[layout === "token" ? 1 : 2] ?? 0;
  eachVector(runs, { order: layout, heads, slots: capacity }, { order: xLayout, heads, slots: tokens }, vectorStore(out, x, dim));
}

/** Copies vector `from` of x to vector `to` of out: bits when the dtypes agree, else rounded to nearest even, or to q8_0 blocks. */
function vectorStore(out: Tensor, x: Tensor, dim: number): (to: number, from: number) => void {
  const { bytes } = out;
  if (out.dtype === x.dtype) {
    const unit = byteLength(x.dtype, [dim]);
    const source = x.bytes;
    return (to, from) => bytes.set(source.subarray(from * unit, (from + 1) * unit), to * unit);
  }
  const values = x.values();
  if (out.dtype === "q8_0") {
    const unit = byteLength("q8_0", [q8Dim(dim)]);
    const padded = new Float32Array(q8Dim(dim));
    return (to, from) => {
      padded.set(values.subarray(from * dim, (from + 1) * dim));
      bytes.set(quantize("q8_0", padded), to * unit);
    };
  }
  return (to, from) => {
    for (let d = 0; d < dim; d++) out.set(to * dim + d, values[from * dim + d] ?? 0);
  };
}

const keys = { cache: "kCache", x: "k", headDim: "headDim" };
const values = { cache: "vCache", x: "v", headDim: "valueDim" };

/** Operands of a write of K and V, besides its places. */
export interface KvPairOperands<V> {
  readonly kCache: V;
  readonly vCache: V;
  readonly k: V;
  readonly v: V;
}
interface PairAttrs extends KvPlaceAttrs {
  readonly headDim?: number | undefined;
  readonly valueDim?: number | undefined;
}
function pairs<V>({ kCache, vCache, k, v }: KvPairOperands<V>, { headDim, valueDim }: PairAttrs): { k: KvPair<V>; v: KvPair<V> } {
  return {
    k: { names: keys, cache: kCache, x: k, headDim },
    v: { names: values, cache: vCache, x: v, headDim: valueDim ?? headDim },
  };
}

/** The type rules of a write of K and V, by any op. */
export function inferKvWritePair(op: string, operands: KvPairOperands<TensorType>, places: KvPlaces<TensorType>, attrs: PairAttrs) {
  const both = pairs(operands, attrs);
  const infer = (pair: typeof both.k) => inferKvWrite(op, pair, places, attrs);
  return { k: infer(both.k), v: infer(both.v) };
}

/** Check both writes, then do them. */
export function runKvWritePair(
  op: string,
  operands: KvPairOperands<Tensor>,
  places: KvPlaces<Tensor>,
  attrs: PairAttrs,
  out: { readonly k: Tensor; readonly v: Tensor },
): void {
  const both = pairs(operands, attrs);
  const targets = [
    { ...both.k, out: out.k },
    { ...both.v, out: out.v },
  ];
  runKvWrites(op, targets, places, attrs);
}
