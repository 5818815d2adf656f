import type { Value, ValueLike } from "../builder.ts";
import type { Tensor } from "../tensor.ts";

/** How a named attention differs from the others: what it always does, and which of its arguments say the rest. */
export interface AttentionForm {
  /** The dispatch of the reference. */
  readonly reference: string;
  /** One query a sequence. */
  readonly decode?: true;
  /** Dtype of q, k, v; absent: any float, and q8_0 for k and v. */
  readonly dtype?: "bf16";
  /** Whether keys behind the query are hidden; `"doCausal"`: that argument says so. */
  readonly causal: boolean | "doCausal";
  /** The argument that gives how many of the newest keys a query sees. */
  readonly window?: "windowSize" | "slidingWindow";
  /** The window holds only for maskType 2. */
  readonly maskType?: true;
  readonly softcap?: true;
  /** An additive mask [qL, kL] or [B, H, qL, kL]. */
  readonly mask?: true;
  /** Position of the first query; absent: the newest keys are those of the queries. */
  readonly offset?: true;
  /** A cache of codes: 4 bits, or those of the argument codebookBits. With ringStart. */
  readonly codes?: 4 | "codebookBits";
  /** What the reference does otherwise. */
  readonly differs: string;
}

export const attentionForms = {
  sdpa: { reference: "sdpa", causal: true, differs: "q of any dtype runs as what it is" },
  sdpaBf16: { reference: "sdpa_bf16", causal: true, dtype: "bf16", differs: "" },
  sdpaSliding: { reference: "sdpa_sliding", causal: true, window: "windowSize", differs: "windowSize keys are seen, not windowSize + 1" },
  sdpaDecode: { reference: "sdpa_decode", causal: false, decode: true, differs: "any headDim" },
  flashAttnVec: {
    reference: "flash_attn_vec",
    causal: false,
    decode: true,
    window: "slidingWindow",
    maskType: true,
    softcap: true,
    differs: "any headDim; softcap is applied; slots behind kvSeqLen are not read; q is not rounded to f16",
  },
  flashAttnVecTq: {
    reference: "flash_attn_vec_tq",
    causal: false,
    decode: true,
    window: "slidingWindow",
    maskType: true,
    softcap: true,
    codes: 4,
    differs: "q and the result are plain: rotating is part of it; ringStart before the wrap hides nothing",
  },
  flashAttnVecTqHb: {
    reference: "flash_attn_vec_tq_hb",
    causal: false,
    decode: true,
    window: "slidingWindow",
    maskType: true,
    softcap: true,
    codes: "codebookBits",
    differs: "as flashAttnVecTq",
  },
  flashAttnPrefill: {
    reference: "flash_attn_prefill_bf16_d64, _d256, _d512",
    causal: "doCausal",
    mask: true,
    softcap: true,
    differs: "with more keys than queries the queries are the newest positions, as everywhere; rows that see nothing are zeros",
  },
  flashAttnPrefillResume: {
    reference: "flash_attn_prefill_bf16_d256_resume",
    causal: true,
    offset: true,
    differs: "no key behind its query is seen, whatever qOffsetInK",
  },
} as const satisfies Readonly<Record<string, AttentionForm>>;

export type AttentionName = keyof typeof attentionForms;
type FormOf<N extends AttentionName> = (typeof attentionForms)[N];
type Given<N extends AttentionName, K extends keyof AttentionForm, T> = FormOf<N> extends { readonly [P in K]: unknown } ? T : unknown;

/** The cache: k, v [B, nKvHeads, kvCapacity, headDim], or codes and norms of these vectors. */
type Cache<N extends AttentionName, V> =
  FormOf<N> extends { readonly codes: unknown }
    ? {
        readonly kPacked: V;
        readonly kNorms: V;
        readonly vPacked: V;
        readonly vNorms: V;
        /** Slot of the oldest key, default 0. */
        readonly ringStart?: V | number;
        /** Default mlx-native-v1. */
        readonly codec?: "mlx-native-v1" | "lloyd-max-v2";
      }
    : { readonly k: V; readonly v: V };

/** Arguments of a named attention; V: values of a graph, or tensors. */
export type AttentionArgs<N extends AttentionName, V extends Value | Tensor> = {
  /** [B, nHeads, qL, headDim]. */
  readonly q: V;
  /** How many keys there are, [] or [B]; default kvCapacity. */
  readonly kvSeqLen?: (V extends Value ? ValueLike : V) | number;
  /** Default 1 / sqrt(headDim). */
  readonly scale?: number;
} & Cache<N, V> &
  Given<N, "window", { readonly [K in Extract<FormOf<N>, { window: string }>["window"]]?: number }> &
  Given<N, "maskType", { /** 2: slidingWindow holds; 0 (default), 1: all keys. */ readonly maskType?: 0 | 1 | 2 }> &
  Given<N, "softcap", { readonly softcap?: number }> &
  Given<N, "mask", { readonly mask?: V; readonly doCausal?: boolean }> &
  Given<N, "offset", { /** Position of the first query. */ readonly qOffsetInK: V | number }> &
  (FormOf<N> extends { readonly codes: "codebookBits" } ? { readonly codebookBits: 5 | 6 | 8 } : unknown);
