import { addDims } from "../dim.ts";
import { broadcastStrides } from "../elementwise.ts";
import { RunError } from "../errors.ts";
import { maxAbs } from "../magnitude.ts";
import { attr, defineOp, input, optional } from "../op.ts";
import type { Tensor } from "../tensor.ts";
import { decomposeAttention } from "./attention-decompose.ts";
import { attentionSamples } from "./attention-samples.ts";
import { inferAttention, maskShape } from "./attention-shape.ts";
import { dot } from "./rules.ts";

/** Whether the query at absolute position p sees key position k: `causal` hides what comes later, `window` what is `window` or more behind. */
export function visible(k: number, p: number, { causal, window }: { causal: boolean; window?: number | undefined }): boolean {
  return (!causal || k <= p) && (window === undefined || k > p - window);
}

const f = attr.number.optional;
export const attention = defineOp({
  name: "attention",
  doc:
    "softmax(softcap(scale q k^T) + mask) v per head (Vaswani et al. 2017; grouped queries: Ainslie et al. 2023): q [B, Sq, H*D]; k, v token [B, Skv, Hkv*D] or " +
    "head [B, Hkv, Skv, D]; keep mask bool [B, Skv] or to [B, H, Sq, Skv], bias float to [B, H, Sq, Skv]; kvLen (default Skv) and qPos (default kvLen - Sq) " +
    "int [] or [B]; sinks [H] join the denominator only; gives [B, Sq, H*Dv] in q's dtype, zeros for a row that sees nothing.",
  inputs: [
    input("q", "float"),
    input("k", "float"),
    input("v", "float"),
    optional("mask", "any"),
    optional("qPos", "int"),
    optional("kvLen", "int"),
    optional("sinks", "float"),
  ],
  attrs: {
    numHeads: attr.int.required,
    numKvHeads: attr.int.required,
    headDim: attr.int.required,
    scale: f,
    softcap: f,
    window: attr.int.optional,
    causal: attr.bool.default(false),
    maskKind: attr.oneOf("none", "keep", "bias"),
    kvLayout: attr.oneOf("token", "head"),
  },
  traits: {
    accumulate: {
      dtype: "f32",
      length: ([, k], { headDim, kvLayout }) => addDims(k?.shape[kvLayout === "token" ? 1 : 2] ?? 0, headDim),
      // A relative error of a weight is the absolute error of its score: D products of q and k.
      magnitude: ({ q, k, v, mask }, { headDim, scale = 1 / Math.sqrt(headDim), maskKind }) => {
        const score = Math.abs(scale) * headDim * maxAbs(q) * maxAbs(k) + (maskKind === "bias" ? maxAbs(mask) : 0);
        const m = (1 + score) * maxAbs(v);
        return () => m;
      },
    },
  },
  infer: inferAttention,
  reference: ({ q, k, v, mask, qPos, kvLen, sinks }, attrs, out) => {
    const { numHeads, numKvHeads, headDim, softcap, maskKind, kvLayout } = attrs;
    const scale = attrs.scale ?? 1 / Math.sqrt(headDim);
    const [batch = 0, sq = 0] = q.shape;
    const slots = (kvLayout === "token" ? k.shape[1] : k.shape[2]) ?? 0;
    const valueDim = (out.shape[2] ?? 0) / numHeads;
    const lengths = perSequence(kvLen, batch, () => slots);
    const starts = perSequence(qPos, batch, (b) => (lengths[b] ?? 0) - sq);
    const bad = lengths.findIndex((n) => n < 0 || n > slots);
    if (bad >= 0) throw new RunError("attention", `kvLen of sequence ${bad}: expected 0 to ${slots}, got ${lengths[bad]}`);
    const [qv, kv, vv, mv, sv] = [q.values(), k.values(), v.values(), mask?.values(), sinks?.values()];
    const maskStrides = mask ? broadcastStrides(maskShape(mask.shape, maskKind === "keep"), [batch, numHeads, sq, slots]) : [];
    const [mb = 0, mh = 0, mq = 0, mk = 0] = maskStrides;
    const scores = new Float64Array(slots);
    const sum = new Float64Array(valueDim);
    /** Where row `j` of a head's keys or values starts, rows being `width` wide. */
    const rowAt = (b: number, h: number, j: number, width: number): number =>
      kvLayout === "token" ? ((b * slots + j) * numKvHeads + h) * width : ((b * numKvHeads + h) * slots + j) * width;

    for (let b = 0; b < batch; b++)
      for (let h = 0; h < numHeads; h++)
        for (let i = 0; i < sq; i++) {
          const kvHead = Math.floor(h / (numHeads / numKvHeads));
          const position = (starts[b] ?? 0) + i;
          const length = lengths[b] ?? 0;
          let max = Number.NEGATIVE_INFINITY;
          for (let j = 0; j < length; j++) {
            const m = mv?.[b * mb + h * mh + i * mq + j * mk];
            scores[j] = Number.NEGATIVE_INFINITY; // not seen
            if (!visible(j, position, attrs) || (maskKind === "keep" && m === 0)) continue;
            let score = scale * dot(qv, ((b * sq + i) * numHeads + h) * headDim, kv, rowAt(b, kvHead, j, headDim), headDim);
            if (softcap !== undefined) score = softcap * Math.tanh(score / softcap);
            if (maskKind === "bias") score += m ?? 0;
            scores[j] = score;
            max = Math.max(max, score);
          }
          const sink = sv?.[h];
          const anything = max !== Number.NEGATIVE_INFINITY;
          if (sink !== undefined) max = Math.max(max, sink);
          let total = sink === undefined ? 0 : Math.exp(sink - max);
          sum.fill(0);
          if (anything)
            for (let j = 0; j < length; j++) {
              const score = scores[j] ?? 0;
              if (score === Number.NEGATIVE_INFINITY) continue;
              const weight = Math.exp(score - max);
              const row = rowAt(b, kvHead, j, valueDim);
              total += weight;
              for (let d = 0; d < valueDim; d++) sum[d] = (sum[d] ?? 0) + weight * (vv[row + d] ?? 0);
            }
          const base = ((b * sq + i) * numHeads + h) * valueDim;
          for (let d = 0; d < valueDim; d++) out.set(base + d, anything ? (sum[d] ?? 0) / total : 0);
        }
  },
  decompose: decomposeAttention,
  samples: attentionSamples,
});

/** A scalar or per-sequence integer operand as numbers. */
export function perSequence(t: Tensor | undefined, batch: number, fallback: (b: number) => number): number[] {
  return Array.from({ length: batch }, (_, b) => (t ? Number(t.getInt(t.shape.length === 0 ? 0 : b)) : fallback(b)));
}
