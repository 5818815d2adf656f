import type { Builder, Value } from "../builder.ts";
import { type Dim, divDims } from "../dim.ts";
import { type FloatDType, isFloat } from "../dtype.ts";
import type { AttentionAttrs, AttentionOperands } from "./attention-shape.ts";
import { castTo, extentValue } from "./widen.ts";

type Operands = AttentionOperands<Value>;

/** As good as none; positions minus a larger one would leave i32. */
const maxWindow = 2 ** 30;

/**
 * attention by matrix products over [B, Hkv, G, Sq, Skv] scores, G = H / Hkv query heads per key head. Not for quantized caches: decoding all
 * of one at every step would cost more than the reference.
 */
export function decomposeAttention(b: Builder, operands: Operands, attrs: AttentionAttrs): Value | undefined {
  const { q, sinks } = operands;
  if (!isFloat(operands.k.dtype) || !isFloat(operands.v.dtype)) return undefined;
  const { numHeads, numKvHeads, headDim, softcap } = attrs;
  const [batch = 1, sq = 1] = q.shape;
  const group = numHeads / numKvHeads;
  const wide: FloatDType = q.dtype === "f64" ? "f64" : "f32";
  const cache = (t: Value): Value => rows(b, castTo(b, operands.slots ? b.gather(t, operands.slots) : t, wide), attrs);
  const [k, values] = [cache(operands.k), cache(operands.v)];
  const slots = k.shape[3] ?? 1;
  const queries = b.transpose(b.reshape(castTo(b, q, wide), { shape: [batch, sq, numKvHeads, group, headDim] }), { perm: [0, 2, 3, 1, 4] });

  const raw = b.mul(b.matmul(queries, k, { transposeB: true }), attrs.scale ?? 1 / Math.sqrt(headDim));
  const capped = softcap === undefined ? raw : b.mul(b.tanh(b.div(raw, softcap)), softcap);
  const perHead = (t: Value): Value => {
    // [.., H, Sq, Skv] to [.., Hkv, G, Sq, Skv]; one head broadcasts over both axes.
    const full = [1, 1, 1, 1, ...t.shape].slice(-4);
    const [mb = 1, mh = 1, ...rest] = full;
    return b.reshape(t, { shape: [mb, ...(mh === 1 ? [1, 1] : [numKvHeads, group]), ...rest] });
  };
  const { inside, keep } = visibility(b, operands, attrs, slots, perHead);
  const bias = attrs.maskKind === "bias" && operands.mask ? castTo(b, perHead(operands.mask), wide) : undefined;
  const nothing = b.constant(Number.NEGATIVE_INFINITY, wide);
  const scores = b.where(keep, bias ? b.add(capped, bias) : capped, nothing);

  const most = b.reduceMax(scores, { axes: [-1], keepDims: true });
  const sink = sinks && b.reshape(castTo(b, sinks, wide), { shape: [numKvHeads, group, 1, 1] });
  const anything = b.ne(most, nothing);
  // Rows that see nothing get 0 in place of -infinity, and come out as zeros below.
  const max = b.where(anything, sink ? b.maximum(most, sink) : most, 0);
  const weights = b.exp(b.sub(scores, max));
  const total = b.reduceSum(weights, { axes: [-1], keepDims: true });
  const denominator = sink ? b.add(total, b.exp(b.sub(sink, max))) : total;
  // Slots behind kvLen may hold anything, also NaN, which a weight of zero would not remove.
  const clean = b.where(inside, values, 0);
  const mixed = b.where(anything, b.div(b.matmul(weights, clean), denominator), 0);
  const out = b.reshape(b.transpose(mixed, { perm: [0, 3, 1, 2, 4] }), { shape: [batch, sq, numHeads * Number(values.shape[4])] });
  return castTo(b, out, q.dtype);
}

/** Keys or values as [B, Hkv, 1, Skv, D]. */
function rows(b: Builder, t: Value, { numKvHeads, kvLayout }: AttentionAttrs): Value {
  if (kvLayout === "head") {
    const [batch = 1, heads = 1, slots = 1, width = 1] = t.shape;
    return b.reshape(t, { shape: [batch, heads, 1, slots, width] });
  }
  const [batch = 1, slots = 1, width = 1] = t.shape;
  const split = b.reshape(t, { shape: [batch, slots, numKvHeads, 1, divDims(width, numKvHeads) ?? 1] });
  return b.transpose(split, { perm: [0, 2, 3, 1, 4] });
}

/** Which slots may be read at all, [B, 1, 1, Skv, 1], and which ones each query sees, broadcast to the scores. */
function visibility(
  b: Builder,
  { q, mask, qPos, kvLen, ringStart }: Operands,
  attrs: AttentionAttrs,
  slots: Dim,
  perHead: (t: Value) => Value,
): { inside: Value; keep: Value } {
  const sq = q.shape[1] ?? 1;
  const perSequence = (t: Value): Value => b.reshape(castTo(b, t, "i32"), { shape: [t.shape[0] ?? 1, 1, 1, 1, 1] });
  const length = kvLen ? perSequence(kvLen) : b.reshape(extentValue(b, slots, "i32"), { shape: [1, 1, 1, 1, 1] });
  const first = qPos ? perSequence(qPos) : b.sub(length, extentValue(b, sq, "i32"));
  // Which key a slot holds, counted from the oldest.
  const slot = b.iota({ shape: [slots] });
  const offset = ringStart && b.sub(slot, perSequence(ringStart));
  const key = offset ? b.where(b.lt(offset, 0), b.add(offset, extentValue(b, slots, "i32")), offset) : slot;
  const position = b.add(b.reshape(b.iota({ shape: [sq] }), { shape: [sq, 1] }), first);

  const shown = [b.lt(key, length)];
  const keys =
    attrs.maskKind === "keep" && mask?.shape.length === 2
      ? b.reshape(mask, { shape: [mask.shape[0] ?? 1, 1, 1, 1, mask.shape[1] ?? 1] })
      : undefined;
  if (keys) shown.push(keys);
  const readable = shown.reduce((x, y) => b.logicalAnd(x, y));
  if (attrs.causal) shown.push(b.le(key, position));
  if (attrs.window !== undefined) shown.push(b.gt(key, b.sub(position, Math.min(attrs.window, maxWindow))));
  if (attrs.maskKind === "keep" && mask && !keys) shown.push(perHead(mask));
  const [batch = 1] = readable.shape;
  return {
    inside: b.reshape(readable, { shape: [batch, 1, 1, slots, 1] }),
    keep: shown.reduce((x, y) => b.logicalAnd(x, y)),
  };
}
