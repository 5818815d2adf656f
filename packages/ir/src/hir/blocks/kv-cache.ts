import type { Builder, Value } from "../../builder.ts";
import { addDims, type Dim, dimMax } from "../../dim.ts";
import { isDType } from "../../dtype.ts";
import { q8Dim } from "../../blocks.ts";
import { ShapeError } from "../../errors.ts";
import { type KvCodecName, kvCodecNamed, parseKvFormat } from "../../kv-codec/format.ts";

/** The cache of one layer. */
export interface KvCacheSpec {
  readonly k: { readonly state: string; readonly format: string };
  readonly v: { readonly state: string; readonly format: string };
  readonly layout: "token" | "head";
  readonly ring: boolean;
  readonly batch: Dim;
  readonly heads: number;
  readonly capacity: Dim;
  readonly headDim: number;
}

/** Keys or values in their states: floats and q8_0 in one, a codec's codes and norms in two. */
type Half =
  | { readonly values: Value; readonly codec?: undefined; readonly norms?: undefined }
  | { readonly values: Value; readonly codec: KvCodecName; readonly norms: Value };

function half(b: Builder, { state, format: text }: KvCacheSpec["k"], { layout, batch, heads, capacity, headDim }: KvCacheSpec): Half {
  const shape = (width: number): Dim[] => (layout === "token" ? [batch, capacity, heads * width] : [batch, heads, capacity, width]);
  const format = parseKvFormat(text);
  if (isDType(format)) return { values: b.state(state, format, shape(format === "q8_0" ? q8Dim(headDim) : headDim)) };
  const { packedBytes, norms } = kvCodecNamed("attention", "format", format, headDim);
  return {
    codec: format,
    values: b.state(state, "u8", shape(packedBytes)),
    norms: b.state(`${state}.norms`, "f32", shape(norms)),
  };
}

/** Write rows of keys and values [B, S, Hkv*D] at `pos`; gives the operands and attributes by which attention reads the cache. */
export function writeKvCache(b: Builder, spec: KvCacheSpec, { k, v, pos }: { readonly k: Value; readonly v: Value; readonly pos: Value }) {
  const { layout, ring, headDim } = spec;
  const place = { layout, ring, headDim };
  const [keys, values] = [half(b, spec.k, spec), half(b, spec.v, spec)];
  const written = writeHalves(b, { keys, values, k, v, pos }, place);
  return {
    k: written.keys.values,
    v: written.values.values,
    cache: {
      kvLayout: layout,
      kNorms: written.keys.norms,
      vNorms: written.values.norms,
      kCodec: keys.codec,
      vCodec: values.codec,
    },
  };
}

interface Writes {
  readonly keys: Half;
  readonly values: Half;
  readonly k: Value;
  readonly v: Value;
  readonly pos: Value;
}
type Place = { readonly layout: "token" | "head"; readonly ring: boolean; readonly headDim: number };
type Written = { readonly values: Value; readonly norms?: Value | undefined };

/** One step for both where their formats are of one kind. */
function writeHalves(b: Builder, { keys, values, k, v, pos }: Writes, place: Place): { readonly keys: Written; readonly values: Written } {
  if (!keys.norms && !values.norms) {
    const pair = b.kvWritePair(keys.values, values.values, k, v, pos, place);
    return { keys: { values: pair.k }, values: { values: pair.v } };
  }
  if (keys.norms && values.norms) {
    const pair = b.kvQuantizePair(keys.values, keys.norms, values.values, values.norms, k, v, pos, {
      ...place,
      kCodec: keys.codec,
      vCodec: values.codec,
    });
    return { keys: { values: pair.kPacked, norms: pair.kNorms }, values: { values: pair.vPacked, norms: pair.vNorms } };
  }
  const write = (into: Half, x: Value): Written => {
    if (!into.norms) return { values: b.kvWrite(into.values, x, pos, place) };
    const { packed, norms } = b.kvQuantize(into.values, into.norms, x, pos, { ...place, codec: into.codec });
    return { values: packed, norms };
  };
  return { keys: write(keys, k), values: write(values, v) };
}

/**
 * How attention reads a ring after tokens were written at `pos`: the newest `kvLen` keys, the oldest of them in slot `ringStart`.
 * @throws ShapeError when a run could overwrite a key that its first token still sees.
 */
export function ringReads(
  b: Builder,
  {
    pos,
    tokens,
    capacity,
    window,
  }: { readonly pos: Value; readonly tokens: Dim; readonly capacity: Dim; readonly window: number | undefined },
): { readonly ringStart: Value; readonly kvLen: Value } {
  if (window === undefined) throw new ShapeError("attention", "a ring needs the attribute window: it forgets what lies further back");
  const most = dimMax(tokens);
  const needed = window + most - 1;
  if (typeof capacity !== "number" || capacity < needed)
    throw new ShapeError(
      "attention",
      `capacity: expected a number of at least window + tokens - 1 = ${window} + ${most} - 1 = ${needed}, got ${capacity}`,
    );
  const count = typeof tokens === "number" ? tokens : b.reduceMax(b.iota({ shape: [addDims(tokens, 1)], dtype: pos.dtype }), { axes: [0] });
  const end = b.add(pos, count);
  return { kvLen: b.minimum(end, capacity), ringStart: b.rem(b.maximum(b.sub(end, capacity), 0), capacity) };
}
