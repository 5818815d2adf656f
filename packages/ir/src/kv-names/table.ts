import type { ValueLike } from "../builder.ts";
import type { FloatDType } from "../dtype.ts";

/** How a named copy says where tokens go: which of its arguments is what, and what is given by none. */
export interface KvForm {
  /** Axes of a source as the reference has it, in order. */
  readonly source: readonly string[];
  readonly layout: "token" | "head";
  readonly xLayout: "token" | "head";
  /** Names of extents; a token is `heads` (absent: 1) vectors of `dim` values. */
  readonly heads?: string;
  readonly dim: string;
  readonly capacity: string;
  /** Absent: one token. */
  readonly tokens?: string;
  readonly srcTokens?: string;
  readonly pos: string;
  readonly offset?: string;
  /** Present: `slots` and `pos` are lists, one entry per row of the source. */
  readonly slots?: string;
  /** The flag that makes the cache a ring, or whether it always or never is one. */
  readonly ring: string | boolean;
}

const range = {
  source: ["nTokens", "nHeads", "headDim"],
  layout: "head",
  xLayout: "token",
  heads: "nHeads",
  dim: "headDim",
  capacity: "capacity",
  tokens: "nTokens",
  pos: "seqPosStart",
  offset: "srcTokOffset",
  ring: true,
} as const satisfies KvForm;

export const kvForms = {
  rows: {
    source: ["nNew", "rowSize"],
    layout: "token",
    xLayout: "token",
    dim: "rowSize",
    capacity: "cacheCap",
    tokens: "nNew",
    pos: "writePos",
    ring: "isSliding",
  },
  token: {
    source: ["nHeads", "headDim"],
    layout: "head",
    xLayout: "token",
    heads: "nHeads",
    dim: "headDim",
    capacity: "capacity",
    pos: "seqPos",
    ring: false,
  },
  range,
  headMajorRange: { ...range, source: ["nHeads", "srcSeqLen", "headDim"], xLayout: "head", srcTokens: "srcSeqLen" },
  batched: {
    source: ["N", "nHeads * headDim"],
    layout: "head",
    xLayout: "token",
    heads: "nHeads",
    dim: "headDim",
    capacity: "capacity",
    pos: "seqPos",
    slots: "slotId",
    ring: "isRing",
  },
} as const satisfies Record<string, KvForm>;

/** A named copy: what the reference calls it, and in what it differs from the others. */
export interface KvCopySpec {
  readonly reference: string;
  readonly form: keyof typeof kvForms;
  /** Dtypes of the source that it takes. */
  readonly source: readonly FloatDType[];
  /** Dtype of the cache; `"same"`: the source's. */
  readonly cache: FloatDType | "same";
  /** K and V at once. */
  readonly dual: boolean;
}

const bits16 = ["bf16", "f16"] as const;
const f32 = ["f32"] as const;

/** Every copy into a KV cache that the reference has a name for. */
export const kvCopySpecs = {
  kvCacheCopy: { reference: "kv_cache_copy", form: "rows", source: bits16, cache: "same", dual: false },
  kvCacheCopyF32: { reference: "kv_cache_copy_f32", form: "rows", source: f32, cache: "f32", dual: false },
  kvCacheCopyBatchF32: { reference: "kv_cache_copy_batch_f32", form: "token", source: f32, cache: "f32", dual: false },
  kvCacheCopyBatchF32ToF16: { reference: "kv_cache_copy_batch_f32_to_f16", form: "token", source: f32, cache: "f16", dual: false },
  kvCacheCopySeqF32: { reference: "kv_cache_copy_seq_f32", form: "range", source: f32, cache: "f32", dual: false },
  kvCacheCopySeqF32ToF16: { reference: "kv_cache_copy_seq_f32_to_f16", form: "range", source: f32, cache: "f16", dual: false },
  kvCacheCopySeqBf16: { reference: "kv_cache_copy_seq_bf16", form: "range", source: ["bf16"], cache: "f32", dual: false },
  kvCacheCopySeqF32Dual: { reference: "kv_cache_copy_seq_f32_dual", form: "range", source: f32, cache: "f32", dual: true },
  kvCacheCopySeqF32ToF16Dual: { reference: "kv_cache_copy_seq_f32_to_f16_dual", form: "range", source: f32, cache: "f16", dual: true },
  kvCacheCopyBatchF32Dual: { reference: "batch_f32_kv_dual", form: "token", source: f32, cache: "f32", dual: true },
  kvCacheCopyBatchF32ToF16Dual: { reference: "batch_f32_to_f16_kv_dual", form: "token", source: f32, cache: "f16", dual: true },
  kvCacheCopyBatchF32ToF16Batched: { reference: "batch_f32_to_f16_batched", form: "batched", source: f32, cache: "f16", dual: false },
  kvCacheCopySeqBf16ToBf16HeadMajor: {
    reference: "seq_bf16_to_bf16_head_major",
    form: "headMajorRange",
    source: ["bf16"],
    cache: "bf16",
    dual: false,
  },
} as const satisfies Record<string, KvCopySpec>;

type Specs = typeof kvCopySpecs;
export type KvCopyName = keyof Specs;

/** Operands, named as the reference names them. */
export type KvCopyOperands<N extends KvCopyName, V> = Specs[N] extends { readonly dual: true }
  ? { readonly srcK: V; readonly srcV: V; readonly cacheK: V; readonly cacheV: V }
  : { readonly src: V; readonly cache: V };

interface HeadArgs {
  readonly nHeads: number;
  readonly headDim: number;
  /** Slots per head. */
  readonly capacity: number;
}
interface RangeArgs extends HeadArgs {
  /** Absolute position of the first token; slots are positions modulo the capacity. */
  readonly seqPosStart: number;
  readonly nTokens: number;
  /** First token of the source that is copied; default 0. */
  readonly srcTokOffset?: number;
  /** Keep the newest `capacity` tokens where there are more; default false: that is an error. */
  readonly trim?: boolean;
}
interface EagerForms {
  rows: {
    readonly writePos: number;
    readonly rowSize: number;
    readonly nNew: number;
    readonly cacheCap: number;
    /** The cache is a ring; default false. */
    readonly isSliding?: boolean;
    readonly trim?: boolean;
  };
  token: HeadArgs & { readonly seqPos: number };
  range: RangeArgs;
  headMajorRange: RangeArgs & { readonly srcSeqLen: number };
  batched: HeadArgs & {
    /** Sequence of the cache for each row of the source, all different, and the position in it. */
    readonly slotId: ArrayLike<number>;
    readonly seqPos: ArrayLike<number>;
    /** Positions are taken modulo the capacity; default false. */
    readonly isRing?: boolean;
  };
}
interface GraphRange {
  readonly seqPosStart: ValueLike;
  /** Default: all tokens of the source after srcTokOffset. */
  readonly nTokens?: ValueLike;
  readonly srcTokOffset?: ValueLike;
  readonly trim?: boolean;
}
interface GraphForms {
  rows: { readonly writePos: ValueLike; readonly nNew?: ValueLike; readonly isSliding?: boolean; readonly trim?: boolean };
  token: { readonly seqPos: ValueLike };
  range: GraphRange;
  headMajorRange: GraphRange;
  batched: { readonly slotId: ValueLike; readonly seqPos: ValueLike; readonly isRing?: boolean };
}
/** Arguments beside the operands: of a call on tensors, and of one on a builder, where the extents are those of the values. */
export type KvEagerArgs<N extends KvCopyName> = EagerForms[Specs[N]["form"]];
export type KvGraphArgs<N extends KvCopyName> = GraphForms[Specs[N]["form"]];
