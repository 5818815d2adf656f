import type { Builder, Value } from "../builder.ts";
import { namedForms } from "../named-args.ts";
import type { Tensor } from "../tensor.ts";
import { dequantizeTensors, quantizeTensors, rotateTensors } from "./quantize-eager.ts";
import { dequantizeValues, quantizeValues, rotateValues } from "./quantize-graph.ts";
import {
  fwhtSpecs,
  type KvDequantizeArgs,
  type KvDequantizeGraphArgs,
  type KvDequantizeName,
  type KvQuantizeArgs,
  type KvQuantizeGraphArgs,
  type KvQuantizeName,
  type KvQuantizeOperands,
  kvDequantizeSpecs,
  kvQuantizeSpecs,
} from "./quantize-table.ts";

/** Next versions of codes and norms. */
type Next<N extends KvQuantizeName> = (typeof kvQuantizeSpecs)[N] extends { readonly dual: true }
  ? { readonly packedK: Value; readonly normsK: Value; readonly packedV: Value; readonly normsV: Value }
  : { readonly packed: Value; readonly norms: Value };

/**
 * Encoding into a quantized KV cache, by the name and with the arguments of the reference.
 *
 * On tensors: src f32 [numKvHeads, headDim] or [nSrcTokens, numKvHeads, headDim], packed u8 [numKvHeads, cacheCapacity, bytes of a vector], norms f32
 * [numKvHeads, cacheCapacity, norms of a vector], changed in place; only the number of elements counts. Zero heads or tokens are no error.
 * @throws ShapeError for tensors that are too small or of another dtype; RunError for positions or tokens that do not fit, or memory that
 * overlaps; AttrError for arguments that are missing, no natural numbers, or name no codec. The caches are then unchanged.
 *
 * On a builder: the same as one node, `kv_quantize` or `kv_quantize_pair`; packed and norms are states, with a leading axis of extent 1.
 */
export interface KvQuantizer<N extends KvQuantizeName> {
  (args: KvQuantizeOperands<N, Tensor> & KvQuantizeArgs<N>): void;
  (g: Builder, args: KvQuantizeOperands<N, Value> & KvQuantizeGraphArgs<N>): Next<N>;
}

/**
 * Decoding of `nTokens` (default 1) positions of a quantized KV cache, as [nTokens, numKvHeads, headDim] in the rotated domain: on tensors into dst,
 * in a graph (`kv_dequantize`) as a value. Errors as `KvQuantizer`.
 */
export interface KvDequantizer<N extends KvDequantizeName> {
  (args: { readonly packed: Tensor; readonly norms: Tensor; readonly dst: Tensor } & KvDequantizeArgs<N>): void;
  (g: Builder, args: { readonly packed: Value; readonly norms: Value; readonly headDim: number } & KvDequantizeGraphArgs<N>): Value;
}

/** A rotation of f32 vectors: of data [numHeads, headDim] in place, or of a value [..., headDim] of a graph (`fwht`). Errors as `KvQuantizer`. */
export interface KvRotation {
  (args: { readonly data: Tensor; readonly numHeads: number; readonly headDim: number }): void;
  (g: Builder, args: { readonly data: Value }): Value;
}

export const { hadamardQuantizeKv, hadamardQuantizeKvSeq, hadamardQuantizeKvHb, hadamardQuantizeKvHbSeq, hadamardQuantizeKvDual } =
  namedForms(kvQuantizeSpecs, quantizeTensors, (g, op, spec, args) => {
    const [packed, norms, packedV, normsV] = quantizeValues(g, op, spec, args);
    return spec.dual ? { packedK: packed, normsK: norms, packedV, normsV } : { packed, norms };
  }) as { readonly [N in KvQuantizeName]: KvQuantizer<N> };

export const { tqDequantizeKv, tqDequantizeHbKv } = namedForms(
  kvDequantizeSpecs,
  (op, { bits }, args) => dequantizeTensors(op, bits, args),
  (g, op, { bits }, args) => dequantizeValues(g, op, bits, args),
) as { readonly [N in KvDequantizeName]: KvDequantizer<N> };

export const { fwhtStandalone, hadamardTransform, fwhtSignPremult, fwhtSignUndo } = namedForms(
  fwhtSpecs,
  (op, { signs }, args) => rotateTensors(op, signs, args),
  (g, op, { signs }, args) => rotateValues(g, op, signs, args),
) as { readonly [N in keyof typeof fwhtSpecs]: KvRotation };
