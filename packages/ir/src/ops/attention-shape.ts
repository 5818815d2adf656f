import { q8Dim } from "../blocks.ts";
import { type Dim, dimEquals, divDims } from "../dim.ts";
import { isFloat } from "../dtype.ts";
import { AttrError, ShapeError } from "../errors.ts";
import { kvCodecNamed } from "../kv-codec/format.ts";
import type { TensorType } from "../op.ts";
import { showType } from "../shape.ts";
import { expectBroadcast, expectRank, expectShape } from "./rules.ts";

export interface AttentionAttrs {
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  readonly valueDim?: number | undefined;
  readonly scale?: number | undefined;
  readonly softcap?: number | undefined;
  readonly window?: number | undefined;
  readonly causal: boolean;
  readonly maskKind: "none" | "keep" | "bias";
  readonly kvLayout: "token" | "head";
  readonly kCodec?: string | undefined;
  readonly vCodec?: string | undefined;
}
export interface AttentionOperands<V> {
  readonly q: V;
  readonly k: V;
  readonly v: V;
  readonly mask?: V | undefined;
  readonly qPos?: V | undefined;
  readonly kvLen?: V | undefined;
  readonly sinks?: V | undefined;
  readonly ringStart?: V | undefined;
  readonly slots?: V | undefined;
  readonly kNorms?: V | undefined;
  readonly vNorms?: V | undefined;
}

const fail = (message: string): never => {
  throw new ShapeError("attention", message);
};

/** Shape rule of `attention`: [B, Sq, H*Dv] in q's dtype. */
export function inferAttention(types: AttentionOperands<TensorType>, attrs: AttentionAttrs): TensorType {
  const { q, k, v, mask, sinks, slots } = types;
  const { numHeads, headDim, kvLayout } = attrs;
  checkAttrs(attrs);
  expectRank("attention", "q", q, 3);
  const [batch = 1, sq = 1, width = 1] = q.shape;
  if (width !== numHeads * headDim)
    fail(`q: expected a last extent of numHeads * headDim = ${numHeads} * ${headDim} = ${numHeads * headDim}, got ${showType(q)}`);
  expectRank("attention", "k", k, kvLayout === "token" ? 3 : 4);
  const sequences = slots ? (k.shape[0] ?? 1) : batch;
  const capacity = k.shape[kvLayout === "token" ? 1 : 2] ?? 1;
  const place = { sequences, capacity, attrs };
  checkCache("k", k, types.kNorms, attrs.kCodec, headDim, place);
  const valueDim = valueDimOf(v, attrs);
  checkCache("v", v, types.vNorms, attrs.vCodec, valueDim, place);
  checkMask(mask, attrs, [batch, numHeads, sq, capacity]);
  for (const name of ["qPos", "kvLen", "ringStart"] as const) {
    const t = types[name];
    if (t && t.shape.length > 0) expectShape("attention", name, t, [batch]);
  }
  if (slots) expectShape("attention", "slots", slots, [batch]);
  if (sinks) expectShape("attention", "sinks", sinks, [numHeads]);
  return { dtype: q.dtype, shape: [batch, sq, numHeads * valueDim] };
}

function checkAttrs({ numHeads, numKvHeads, headDim, valueDim, window, softcap }: AttentionAttrs): void {
  for (const [name, value] of Object.entries({ numHeads, numKvHeads, headDim, valueDim, window }))
    if (value !== undefined && value < 1) throw new AttrError("attention", `${name}: expected at least 1, got ${value}`);
  if (numHeads % numKvHeads !== 0)
    throw new AttrError("attention", `numHeads: expected a multiple of numKvHeads ${numKvHeads}, got ${numHeads}`);
  if (softcap !== undefined && !(softcap > 0)) throw new AttrError("attention", `softcap: expected a positive number, got ${softcap}`);
}

/** Elements of one head vector of `dim` values in a cache of this dtype; q8_0 fills up to whole blocks. */
export const rowWidth = (dtype: string, dim: number): number => (dtype === "q8_0" ? q8Dim(dim) : dim);

/** The value head size: of the attribute, else of the cache's shape, where that tells it, else the key head size. */
function valueDimOf(v: TensorType, { valueDim, headDim, numKvHeads, kvLayout, vCodec }: AttentionAttrs): number {
  if (valueDim !== undefined) return valueDim;
  if (!isFloat(v.dtype) || vCodec !== undefined) return headDim;
  expectRank("attention", "v", v, kvLayout === "token" ? 3 : 4);
  if (kvLayout === "head") {
    const dim = v.shape[3];
    return typeof dim === "number" ? dim : fail(`v: expected a last extent that is a number, got ${showType(v)}`);
  }
  const dim = divDims(v.shape[2] ?? 1, numKvHeads);
  if (typeof dim === "number") return dim;
  return fail(`v: expected a last extent that is a multiple of numKvHeads ${numKvHeads}, got ${showType(v)}`);
}

interface Place {
  readonly sequences: Dim;
  readonly capacity: Dim;
  readonly attrs: AttentionAttrs;
}

/** One of k and v: floats, q8_0 blocks, or the packed codes and norms of a codec. */
function checkCache(
  name: "k" | "v",
  t: TensorType,
  norms: TensorType | undefined,
  codecName: string | undefined,
  dim: number,
  { sequences, capacity, attrs }: Place,
): void {
  const shape = (width: number): Dim[] =>
    attrs.kvLayout === "token" ? [sequences, capacity, attrs.numKvHeads * width] : [sequences, attrs.numKvHeads, capacity, width];
  if (codecName === undefined) {
    if (!isFloat(t.dtype) && t.dtype !== "q8_0") fail(`${name}: expected a float, q8_0, or u8 codes with ${name}Codec, got ${showType(t)}`);
    if (norms) throw new AttrError("attention", `${name}Norms: expected ${name}Codec with norms ${showType(norms)}, got none`);
    expectShape("attention", name, t, shape(rowWidth(t.dtype, dim)));
    return;
  }
  const codec = kvCodecNamed("attention", `${name}Codec`, codecName, dim);
  if (t.dtype !== "u8") fail(`${name}: expected u8 codes for ${name}Codec ${codecName}, got ${showType(t)}`);
  expectShape("attention", name, t, shape(codec.packedBytes));
  if (!norms) throw new ShapeError("attention", `${name}Norms: expected norms for ${name}Codec ${codecName}, got nothing`);
  if (norms.dtype !== "f32") fail(`${name}Norms: expected f32, got ${showType(norms)}`);
  expectShape("attention", `${name}Norms`, norms, shape(codec.norms));
}

function checkMask(mask: TensorType | undefined, { maskKind }: AttentionAttrs, full: readonly Dim[]): void {
  if (maskKind === "none") {
    if (mask) throw new AttrError("attention", `maskKind: expected "keep" or "bias" for a mask ${showType(mask)}, got "none"`);
    return;
  }
  if (!mask) throw new ShapeError("attention", `mask: expected a value for maskKind "${maskKind}", got nothing`);
  const keep = maskKind === "keep";
  if (keep ? mask.dtype !== "bool" : !isFloat(mask.dtype))
    fail(`mask: expected ${keep ? "bool" : "a float"} for maskKind "${maskKind}", got ${showType(mask)}`);
  const [batch = 1, , , slots = 1] = full;
  const perKey = keep && mask.shape.length === 2;
  if (perKey) {
    const [b = 1, n = 1] = mask.shape;
    if ((b !== 1 && !dimEquals(b, batch)) || (n !== 1 && !dimEquals(n, slots)))
      fail(`mask: expected [${batch}, ${slots}] or a shape that broadcasts to [${full.join(", ")}], got ${showType(mask)}`);
  } else expectBroadcast("attention", "mask", mask, full);
}

/** A keep mask [B, Skv] is the same for all heads and queries. */
export const maskShape = (shape: readonly number[], keep: boolean): readonly number[] =>
  keep && shape.length === 2 ? [shape[0] ?? 1, 1, 1, shape[1] ?? 1] : shape;
