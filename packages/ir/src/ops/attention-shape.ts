import { type Dim, dimEquals, divDims } from "../dim.ts";
import { isFloat } from "../dtype.ts";
import { AttrError, ShapeError } from "../errors.ts";
import type { TensorType } from "../op.ts";
import { showType } from "../shape.ts";
import { expectBroadcast, expectRank, expectShape } from "./rules.ts";

export interface AttentionAttrs {
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  readonly window?: number | undefined;
  readonly softcap?: number | undefined;
  readonly maskKind: "none" | "keep" | "bias";
  readonly kvLayout: "token" | "head";
}
export interface AttentionOperands<V> {
  readonly q: V;
  readonly k: V;
  readonly v: V;
  readonly mask?: V | undefined;
  readonly qPos?: V | undefined;
  readonly kvLen?: V | undefined;
  readonly sinks?: V | undefined;
}

const fail = (message: string): never => {
  throw new ShapeError("attention", message);
};

/** Shape rule of `attention`: [B, Sq, H*Dv] in q's dtype. */
export function inferAttention(types: AttentionOperands<TensorType>, attrs: AttentionAttrs): TensorType {
  const { q, k, v, mask, qPos, kvLen, sinks } = types;
  const { numHeads, numKvHeads, headDim, kvLayout } = attrs;
  checkAttrs(attrs);
  expectRank("attention", "q", q, 3);
  const [batch = 1, sq = 1, width = 1] = q.shape;
  if (width !== numHeads * headDim)
    fail(`q: expected a last extent of numHeads * headDim = ${numHeads} * ${headDim} = ${numHeads * headDim}, got ${showType(q)}`);
  const [slots, valueDim] =
    kvLayout === "token" ? tokenLayout(k, v, batch, numKvHeads, headDim) : headLayout(k, v, batch, numKvHeads, headDim);
  checkMask(mask, attrs, [batch, numHeads, sq, slots]);
  for (const [name, t] of [
    ["qPos", qPos],
    ["kvLen", kvLen],
  ] as const)
    if (t && t.shape.length > 0) expectShape("attention", name, t, [batch]);
  if (sinks) expectShape("attention", "sinks", sinks, [numHeads]);
  return { dtype: q.dtype, shape: [batch, sq, numHeads * valueDim] };
}

function checkAttrs({ numHeads, numKvHeads, headDim, window, softcap }: AttentionAttrs): void {
  for (const [name, value] of Object.entries({ numHeads, numKvHeads, headDim, ...(window === undefined ? {} : { window }) }))
    if (value < 1) throw new AttrError("attention", `${name}: expected at least 1, got ${value}`);
  if (numHeads % numKvHeads !== 0)
    throw new AttrError("attention", `numHeads: expected a multiple of numKvHeads ${numKvHeads}, got ${numHeads}`);
  if (softcap !== undefined && !(softcap > 0)) throw new AttrError("attention", `softcap: expected a positive number, got ${softcap}`);
}

/** Number of slots and the value head size. */
function tokenLayout(k: TensorType, v: TensorType, batch: Dim, numKvHeads: number, headDim: number): [Dim, number] {
  expectRank("attention", "k", k, 3);
  const slots = k.shape[1] ?? 1;
  expectShape("attention", "k", k, [batch, slots, numKvHeads * headDim]);
  expectRank("attention", "v", v, 3);
  const valueDim = divDims(v.shape[2] ?? 1, numKvHeads);
  if (typeof valueDim !== "number")
    return fail(`v: expected a last extent that is a multiple of numKvHeads ${numKvHeads}, got ${showType(v)}`);
  expectShape("attention", "v", v, [batch, slots, numKvHeads * valueDim]);
  return [slots, valueDim];
}

function headLayout(k: TensorType, v: TensorType, batch: Dim, numKvHeads: number, headDim: number): [Dim, number] {
  expectRank("attention", "k", k, 4);
  const slots = k.shape[2] ?? 1;
  expectShape("attention", "k", k, [batch, numKvHeads, slots, headDim]);
  expectRank("attention", "v", v, 4);
  const valueDim = v.shape[3] ?? 1;
  if (typeof valueDim !== "number") return fail(`v: expected a last extent that is a number, got ${showType(v)}`);
  expectShape("attention", "v", v, [batch, numKvHeads, slots, valueDim]);
  return [slots, valueDim];
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
