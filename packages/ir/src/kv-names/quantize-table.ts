import type { ValueLike } from "../builder.ts";
import type { KvBits, KvCodecId } from "../kv-codec/codec.ts";
import type { FwhtSigns } from "../ops/fwht.ts";

/** A named quantizer: what the reference calls it, and in what it differs from the others. */
export interface KvQuantizeSpec {
  readonly reference: string;
  /** One token at `writePos`, or `nTokens` of a source from `writePosStart` on. */
  readonly range: boolean;
  /** Bits that it takes, as `codebookBits` where there is a choice. */
  readonly bits: readonly KvBits[];
  /** K and V at once. */
  readonly dual: boolean;
}
const hb = [5, 6, 8] as const;

/** Every quantizer of KV vectors that the reference has a name for, and its K and V form. */
export const kvQuantizeSpecs = {
  hadamardQuantizeKv: { reference: "hadamard_quantize_kv", range: false, bits: [4], dual: false },
  hadamardQuantizeKvSeq: { reference: "hadamard_quantize_kv_seq", range: true, bits: [4], dual: false },
  hadamardQuantizeKvHb: { reference: "hadamard_quantize_kv_hb", range: false, bits: hb, dual: false },
  hadamardQuantizeKvHbSeq: { reference: "hadamard_quantize_kv_hb_seq", range: true, bits: hb, dual: false },
  hadamardQuantizeKvDual: { reference: "hadamard_quantize_kv", range: true, bits: [4, ...hb], dual: true },
} as const satisfies Record<string, KvQuantizeSpec>;

/** Every decoder, with the bits that it takes. */
export const kvDequantizeSpecs = {
  tqDequantizeKv: { reference: "tq_dequantize_kv", bits: [4] },
  tqDequantizeHbKv: { reference: "tq_dequantize_hb_kv", bits: hb },
} as const satisfies Record<string, Pick<KvQuantizeSpec, "reference" | "bits">>;

/** Every rotation by itself. */
export const fwhtSpecs = {
  fwhtStandalone: { reference: "fwht_standalone", signs: "none" },
  hadamardTransform: { reference: "hadamard_transform", signs: "none" },
  fwhtSignPremult: { reference: "fwht_sign_premult", signs: "before" },
  fwhtSignUndo: { reference: "fwht_sign_undo", signs: "after" },
} as const satisfies Record<string, { readonly reference: string; readonly signs: FwhtSigns }>;

type Specs = typeof kvQuantizeSpecs;
export type KvQuantizeName = keyof Specs;
export type KvDequantizeName = keyof typeof kvDequantizeSpecs;

/** Operands, V being tensors or values of a graph. */
export type KvQuantizeOperands<N extends KvQuantizeName, V> = Specs[N] extends { readonly dual: true }
  ? { readonly srcK: V; readonly packedK: V; readonly normsK: V; readonly srcV: V; readonly packedV: V; readonly normsV: V }
  : { readonly src: V; readonly packed: V; readonly norms: V };

export interface KvCodecArgs {
  /** Default mlx-native-v1, which has head dims 256 and 512; lloyd-max-v2 has more, better tables, and 5 and 6 bits densely packed. */
  readonly codec?: KvCodecId;
}
type BitsArgs<B extends readonly KvBits[]> = B extends readonly [4] ? KvCodecArgs : KvCodecArgs & { readonly codebookBits: B[number] };

interface PlaceArgs {
  /** The cache is a ring: position p lies in slot p modulo the capacity; default false. */
  readonly isSliding?: boolean;
  /** Of mlx-native's settings for head dim 512 only `bare`, 1, is offered: the others saturate the codebook. */
  readonly scaleFactorD512?: 1;
}
interface RangePlaceArgs extends PlaceArgs {
  /** Keep the newest `cacheCapacity` tokens where a ring holds fewer; default false: that is an error. */
  readonly trim?: boolean;
}
/** Extents of a store. */
export interface KvStoreArgs {
  readonly numKvHeads: number;
  readonly headDim: number;
  readonly cacheCapacity: number;
}

/** Arguments beside the operands, of a call on tensors. */
export type KvQuantizeArgs<N extends KvQuantizeName> = BitsArgs<Specs[N]["bits"]> &
  KvStoreArgs &
  (Specs[N] extends { readonly range: true }
    ? RangePlaceArgs & { readonly writePosStart: number; readonly nTokens: number; readonly srcTokOffset?: number }
    : PlaceArgs & { readonly writePos: number });

/** The same of a call on a builder, where the extents are those of the values. */
export type KvQuantizeGraphArgs<N extends KvQuantizeName> = BitsArgs<Specs[N]["bits"]> &
  (Specs[N] extends { readonly range: true }
    ? RangePlaceArgs & { readonly writePosStart: ValueLike; readonly nTokens?: ValueLike; readonly srcTokOffset?: ValueLike }
    : PlaceArgs & { readonly writePos: ValueLike });

interface ReadArgs extends PlaceArgs {
  /** Positions from readPos on; default 1. */
  readonly nTokens?: number;
}
export type KvDequantizeArgs<N extends KvDequantizeName> = BitsArgs<(typeof kvDequantizeSpecs)[N]["bits"]> &
  KvStoreArgs &
  ReadArgs & { readonly readPos: number };
export type KvDequantizeGraphArgs<N extends KvDequantizeName> = BitsArgs<(typeof kvDequantizeSpecs)[N]["bits"]> &
  ReadArgs & { readonly readPos: ValueLike };
