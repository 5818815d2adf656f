import { type Dim, dimEquals, mulDims } from "../dim.ts";
import { ShapeError } from "../errors.ts";
import { encodeKvVector, type KvCodec } from "../kv-codec/codec.ts";
import { kvCodecNamed } from "../kv-codec/format.ts";
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
  planKvWrite,
  sourceExtents,
} from "./kv-plan.ts";
import { expectRank, expectShape, headsOf } from "./rules.ts";

/** A quantized cache: packed u8 and norms f32, token [B, cap, H*bytes], [B, cap, H*norms] or head [B, H, cap, bytes], [B, H, cap, norms]. */
export interface KvStore<V> {
  readonly packed: V;
  readonly norms: V;
}

/** What operands and attributes of a store are called in an op. */
export interface KvStoreNames {
  readonly packed: string;
  readonly norms: string;
  readonly codec: string;
}

/**
 * Sequences, heads and capacity of a store.
 * @throws ShapeError for other dtypes or shapes, AttrError for a codec that does not take headDim.
 */
export function inferKvStore(
  op: string,
  names: KvStoreNames,
  { packed, norms }: KvStore<TensorType>,
  { codec: text, headDim, layout }: { readonly codec: string; readonly headDim: number; readonly layout: "token" | "head" },
): { readonly sequences: Dim; readonly heads: Dim; readonly capacity: Dim } {
  const codec = kvCodecNamed(op, names.codec, text, headDim);
  for (const [name, t, dtype] of [
    [names.packed, packed, "u8"],
    [names.norms, norms, "f32"],
  ] as const) {
    if (t.dtype !== dtype) throw new ShapeError(op, `${name}: expected dtype ${dtype}, got ${showType(t)}`);
    expectRank(op, name, t, layout === "token" ? 3 : 4);
    expectElements(op, name, t);
  }
  const [sequences = 1, a = 1, b = 1] = packed.shape;
  if (layout === "token") {
    const heads = headsOf(op, names.packed, packed, codec.packedBytes);
    expectShape(op, names.norms, norms, [sequences, a, mulDims(heads, codec.norms)]);
    return { sequences, heads, capacity: a };
  }
  expectShape(op, names.packed, packed, [sequences, a, b, codec.packedBytes]);
  expectShape(op, names.norms, norms, [sequences, a, b, codec.norms]);
  return { sequences, heads: a, capacity: b };
}

/** A store and what is encoded into it. */
export interface KvQuantized<V> extends KvStore<V> {
  readonly names: KvStoreNames & { readonly x: string };
  readonly x: V;
  readonly codec: string;
  readonly headDim: number;
}

/** The type rules of encoding into one store; its next version has its types. */
export function inferKvQuantize(
  op: string,
  { names, packed, norms, x, codec, headDim }: KvQuantized<TensorType>,
  places: KvPlaces<TensorType>,
  attrs: KvPlaceAttrs,
): KvStore<TensorType> {
  const { sequences, heads } = inferKvStore(op, names, { packed, norms }, { codec, headDim, layout: attrs.layout });
  checkKvPlaces(op, names.x, x, sequences, places, attrs);
  const [n = 1, a = 1, b = 1] = x.shape;
  if (attrs.xLayout === "head") expectShape(op, names.x, x, [n, heads, b, headDim]);
  else if (!dimEquals(headsOf(op, names.x, x, headDim), heads)) expectShape(op, names.x, x, [n, a, mulDims(heads, headDim)]);
  return { packed, norms };
}

/** A store with the memory of its next version. */
interface KvTarget extends KvQuantized<Tensor> {
  readonly out: KvStore<Tensor>;
}

/** Check the writes into all stores, then do them. */
export function runKvQuantize(op: string, targets: readonly KvTarget[], places: KvPlaces<Tensor>, attrs: KvPlaceAttrs): void {
  const { layout, xLayout } = attrs;
  const plans = targets.map((target) => {
    const { names, packed, norms, x, headDim } = target;
    const store = inferKvStore(op, names, { packed, norms }, { ...target, layout });
    const [sequences, heads, capacity] = [Number(store.sequences), Number(store.heads), Number(store.capacity)];
    const { sequences: rows, tokens } = sourceExtents(xLayout, x.shape);
    const sizes = { cache: names.packed, sequences, capacity, rows, tokens, width: heads * headDim };
    const runs = planKvWrite(op, sizes, places, attrs);
    return { target, runs, cache: { order: layout, heads, slots: capacity }, source: { order: xLayout, heads, slots: tokens } };
  });
  if (plans.some(({ runs }) => runs.length > 0)) {
    const written = targets.flatMap(({ names, out }) => [[names.packed, out.packed.data] as const, [names.norms, out.norms.data] as const]);
    expectNoOverlap(op, Object.fromEntries(written), Object.fromEntries(targets.map(({ names, x }) => [names.x, x.data])));
  }
  for (const { target, runs, cache, source } of plans) {
    const { packed, norms, out } = target;
    if (!sameMemory(out.packed, packed)) out.packed.bytes.set(packed.bytes);
    if (!sameMemory(out.norms, norms)) out.norms.bytes.set(norms.bytes);
    const codec = kvCodecNamed(op, target.names.codec, target.codec, target.headDim);
    const { headDim } = codec;
    const values = target.x.values();
    eachVector(runs, cache, source, (to, from) => {
      const stored = vectorOf(codec, out, to);
      encodeKvVector(codec, Float32Array.from(values.subarray(from * headDim, (from + 1) * headDim)), stored.packed, stored.norms);
    });
  }
}

/** Codes and norms of vector `index`, over the store's memory. */
export function vectorOf(
  { packedBytes, norms }: KvCodec,
  store: KvStore<Tensor>,
  index: number,
): { packed: Uint8Array; norms: Float32Array } {
  const { buffer, byteOffset } = store.norms.data;
  return {
    packed: store.packed.bytes.subarray(index * packedBytes, (index + 1) * packedBytes),
    norms: new Float32Array(buffer, byteOffset + 4 * index * norms, norms),
  };
}
