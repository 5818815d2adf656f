import { addDims } from "../dim.ts";
import { broadcastStrides } from "../elementwise.ts";
import { maxAbs } from "../magnitude.ts";
import { attr, defineOp, input, optional } from "../op.ts";
import { type KvRows, kvRows, peaks, placements, rotated, rotatedBack } from "./attention-cache.ts";
import { decomposeAttention } from "./attention-decompose.ts";
import { hardAttentionSamples } from "./attention-hard-samples.ts";
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
    "softmax(softcap(scale q k^T) + mask) v per head (Vaswani et al. 2017; grouped queries: Ainslie et al. 2023): q [B, Sq, H*D]; k, v token [B', Skv, Hkv*D] or " +
    "head [B', Hkv, Skv, D], floats, q8_0 (D filled up to whole blocks) or u8 codes of kCodec, vCodec with norms; row b reads sequence slots[b] (default b). " +
    "Its kvLen (default Skv) keys begin in slot ringStart (default 0) and wrap around; positions count from the oldest, queries from qPos (default kvLen - Sq); int [] or [B]. " +
    "Keep mask bool [B, Skv] or to [B, H, Sq, Skv], bias float to [B, H, Sq, Skv], by slot; sinks [H] join the denominator only. " +
    "Gives [B, Sq, H*Dv] in q's dtype, zeros for a row that sees nothing.",
  inputs: [
    input("q", "float"),
    input("k", "any"),
    input("v", "any"),
    optional("mask", "any"),
    optional("qPos", "int"),
    optional("kvLen", "int"),
    optional("sinks", "float"),
    optional("ringStart", "int"),
    optional("slots", "int"),
    optional("kNorms", "float"),
    optional("vNorms", "float"),
  ],
  attrs: {
    numHeads: attr.int.required,
    numKvHeads: attr.int.required,
    headDim: attr.int.required,
    /** Of v; default: what the shape of v tells, headDim for q8_0 and codecs. */
    valueDim: attr.int.optional,
    scale: f,
    softcap: f,
    window: attr.int.optional,
    causal: attr.bool.default(false),
    maskKind: attr.oneOf("none", "keep", "bias"),
    kvLayout: attr.oneOf("token", "head"),
    kCodec: attr.string.optional,
    vCodec: attr.string.optional,
  },
  traits: {
    accumulate: {
      dtype: "f32",
      length: ([, k], { headDim, kvLayout }) => addDims(k?.shape[kvLayout === "token" ? 1 : 2] ?? 0, headDim),
      // A relative error of a weight is the absolute error of its score: D products of q and k. A rotation keeps norms, not single values.
      magnitude: ({ q, k, v, mask, kNorms, vNorms }, { headDim, scale = 1 / Math.sqrt(headDim), maskKind, ...rest }) => {
        const keys = kvRows(k, kNorms, rest.kCodec, headDim);
        const values = kvRows(v, vNorms, rest.vCodec, rest.valueDim ?? headDim);
        const product = keys.rotation
          ? peaks({ values: q.values(), width: headDim }).l2 * peaks(keys).l2
          : headDim * maxAbs(q) * peaks(keys).absolute;
        const score = Math.abs(scale) * product + (maskKind === "bias" ? maxAbs(mask) : 0);
        const m = (1 + score) * (values.rotation ? peaks(values).l2 : peaks(values).absolute);
        return () => m;
      },
    },
  },
  infer: inferAttention,
  reference: (operands, attrs, out) => {
    const { q, k, v, mask, sinks, kNorms, vNorms } = operands;
    const { numHeads, numKvHeads, headDim, softcap, maskKind, kvLayout } = attrs;
    const scale = attrs.scale ?? 1 / Math.sqrt(headDim);
    const [batch = 0, sq = 0] = q.shape;
    const valueDim = (out.shape[2] ?? 0) / numHeads;
    const { capacity, rows } = placements(operands, kvLayout);
    const keys = kvRows(k, kNorms, attrs.kCodec, headDim);
    const values = kvRows(v, vNorms, attrs.vCodec, valueDim);
    const [qv, mv, sv] = [q.values(), mask?.values(), sinks?.values()];
    const maskStrides = mask ? broadcastStrides(maskShape(mask.shape, maskKind === "keep"), [batch, numHeads, sq, capacity]) : [];
    const [mb = 0, mh = 0, mq = 0, mk = 0] = maskStrides;
    const scores = new Float64Array(capacity);
    const sum = new Float64Array(valueDim);

    for (const [b, { length, start, first, sequence }] of rows.entries()) {
      const slotOf = (j: number): number => (first + j) % capacity;
      /** Where key or value `j` of a head starts. */
      const rowAt = ({ width }: KvRows, h: number, j: number): number =>
        width *
        (kvLayout === "token" ? (sequence * capacity + slotOf(j)) * numKvHeads + h : (sequence * numKvHeads + h) * capacity + slotOf(j));
      for (let h = 0; h < numHeads; h++)
        for (let i = 0; i < sq; i++) {
          const kvHead = Math.floor(h / (numHeads / numKvHeads));
          const position = start + i;
          const at = ((b * sq + i) * numHeads + h) * headDim;
          const [query, from] = keys.rotation ? [rotated(keys.rotation, qv, at), 0] : [qv, at];
          let max = Number.NEGATIVE_INFINITY;
          for (let j = 0; j < length; j++) {
            const m = mv?.[b * mb + h * mh + i * mq + slotOf(j) * mk];
            scores[j] = Number.NEGATIVE_INFINITY; // not seen
            if (!visible(j, position, attrs) || (maskKind === "keep" && m === 0)) continue;
            let score = scale * dot(query, from, keys.values, rowAt(keys, kvHead, j), headDim);
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
              const row = rowAt(values, kvHead, j);
              total += weight;
              for (let d = 0; d < valueDim; d++) sum[d] = (sum[d] ?? 0) + weight * (values.values[row + d] ?? 0);
            }
          const result = values.rotation ? rotatedBack(values.rotation, sum) : sum;
          const base = ((b * sq + i) * numHeads + h) * valueDim;
          for (let d = 0; d < valueDim; d++) out.set(base + d, anything ? (result[d] ?? 0) / total : 0);
        }
    }
  },
  decompose: decomposeAttention,
  samples: (rng) => [...attentionSamples(rng), ...hardAttentionSamples(rng)],
});
