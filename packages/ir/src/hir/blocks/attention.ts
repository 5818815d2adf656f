import type { Builder, Value } from "../../builder.ts";
import { ShapeError } from "../../errors.ts";
import { attr, input, optional } from "../../op.ts";
import { showType } from "../../shape.ts";
import { defineBlock, optionalWeight, weight } from "../block.ts";
import { ringReads, writeKvCache } from "./kv-cache.ts";
import { expectRank, project, rms } from "./shared.ts";

/** Norm over each head of [B, S, H*D]. */
function headNorm(b: Builder, x: Value, w: Value, headDim: number, eps: number, offset: number): Value {
  const [batch = 1, seq = 1] = x.shape;
  const heads = b.reshape(x, { shape: [batch, seq, Number(x.shape[2]) / headDim, headDim] });
  return b.reshape(rms(b, heads, w, eps, offset), { shape: x.shape });
}

export const attention = defineBlock({
  name: "attention",
  doc: "Self-attention: QKV projections, norm per head, rope, KV cache, attention, output projection. x [B, S, k]; cos, sin [S, R/2] or [B, S, R/2] (absent: no rope); pos int [] or [B], the absolute position of row 0; kvLen int [] or [B], the filled rows of the cache after this call (needed with a cache unless causal); mask: keep mask, bool [B, Skv].",
  inputs: [
    input("x", "float"),
    optional("cos", "float"),
    optional("sin", "float"),
    optional("pos", "int"),
    optional("kvLen", "int"),
    optional("mask", "bool"),
  ],
  attrs: {
    numHeads: attr.int.required,
    numKvHeads: attr.int.optional,
    headDim: attr.int.required,
    causal: attr.bool.default(true),
    scale: attr.number.optional,
    softcap: attr.number.optional,
    window: attr.int.optional,
    ropeInterleaved: attr.bool.default(false),
    /** Of the norm per head. */
    normEps: attr.number.default(1e-6),
    normOffset: attr.number.default(0),
    /** Names of the KV cache states; absent: keys and values are those of this call. */
    pastK: attr.string.optional,
    pastV: attr.string.optional,
    capacity: attr.dim.optional,
    /** How the cache keeps keys and values (KvFormat); vFormat: as kFormat unless given. */
    kFormat: attr.string.default("f32"),
    vFormat: attr.string.optional,
    layout: attr.oneOf("token", "head"),
    /**
     * A cache of a sliding window: position p lies in slot p mod capacity, and what is older than the capacity is gone. The capacity must be
     * at least window + the most tokens of a run - 1. Such a cache cannot be cut back to fewer tokens than it has forgotten.
     */
    ring: attr.bool.default(false),
  },
  params: [
    weight("q"),
    weight("k"),
    weight("v"),
    weight("o"),
    optionalWeight("qBias"),
    optionalWeight("kBias"),
    optionalWeight("vBias"),
    optionalWeight("oBias"),
    optionalWeight("qNorm"),
    optionalWeight("kNorm"),
  ],
  lower: (b, { x, cos, sin, pos, kvLen, mask }, attrs, w) => {
    const { numHeads, headDim, causal, scale, softcap, window, layout, normEps, normOffset } = attrs;
    const numKvHeads = attrs.numKvHeads ?? numHeads;
    expectRank("attention", "x", x, 3, "[B, S, k]");
    if ((cos === undefined) !== (sin === undefined)) throw new ShapeError("attention", "rope needs both tables, cos and sin");
    const heads = (weight: Value, bias: Value | undefined, norm: Value | undefined, count: number, rotate: boolean): Value => {
      let v = project(b, x, weight, bias);
      if (v.shape[2] !== count * headDim)
        throw new ShapeError(
          "attention",
          `expected ${count} heads of ${headDim} (${count * headDim} rows), got weight ${showType(weight.type)}`,
        );
      if (norm) v = headNorm(b, v, norm, headDim, normEps, normOffset);
      return rotate && cos && sin ? b.rope(v, cos, sin, { headDim, interleaved: attrs.ropeInterleaved }) : v;
    };
    const q = heads(w.q, w.qBias, w.qNorm, numHeads, true);
    const k = heads(w.k, w.kBias, w.kNorm, numKvHeads, true);
    const v = heads(w.v, w.vBias, undefined, numKvHeads, false);
    const common = { numHeads, numKvHeads, headDim, scale, softcap, window, causal, mask, maskKind: mask ? "keep" : "none" } as const;
    const { pastK, pastV, capacity, kFormat, vFormat = kFormat, ring } = attrs;
    if (pastK === undefined || pastV === undefined) {
      if ((pastK ?? pastV) !== undefined) throw new ShapeError("attention", "a KV cache needs the names of both states, pastK and pastV");
      return project(b, b.attention(q, k, v, { ...common, kvLen }), w.o, w.oBias);
    }
    if (capacity === undefined || !pos) throw new ShapeError("attention", "a KV cache needs the attribute capacity and the input pos");
    if (ring && (!causal || kvLen))
      throw new ShapeError("attention", "a ring is for causal attention, and without kvLen: that follows from pos");
    if (!causal && !kvLen) throw new ShapeError("attention", "a KV cache without causal needs the input kvLen");
    const [batch = 1, tokens = 1] = x.shape;
    const states = { k: { state: pastK, format: kFormat }, v: { state: pastV, format: vFormat } };
    const written = writeKvCache(b, { ...states, layout, ring, batch, heads: numKvHeads, capacity, headDim }, { k, v, pos });
    // Causal attention never looks beyond the query's own position, so the filled length need not be given.
    const reads = ring ? ringReads(b, { pos, tokens, capacity, window }) : { qPos: pos, kvLen };
    const out = b.attention(q, written.k, written.v, { ...common, ...written.cache, ...reads });
    return project(b, out, w.o, w.oBias);
  },
});
