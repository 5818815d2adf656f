import { AttrError, ShapeError } from "../errors.ts";
import { signThenFwht } from "./hadamard.ts";
import { lloydMaxHalves, mlxNativeHalves } from "./tables.ts";

/**
 * Codecs of KV vectors: rotate (`signThenFwht`), scale each block to unit RMS, and replace each value by the number of a Lloyd-Max cell for
 * N(0, 1). Codes decode in the rotated domain, where inner products are the same; `fwhtThenSign` leads back.
 *
 * | | `mlx-native-v1` | `lloyd-max-v2` |
 * |-|-|-|
 * | headDim | 256, 512 | 2^k, 12 * 2^k or 20 * 2^k: 16, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256, 320, 384, 512 |
 * | tables | mlx-native's | converged |
 * | one code takes | 4 bits, or a byte for 5, 6 and 8 bits | 4, 5, 6 or 8 bits |
 * | norm | headDim 256: the L2 norm; 512: the RMS of each half | the RMS of each of 1 block, or 2 equal ones above 256 |
 *
 * Both: codes of a vector form a stream of bits, least significant first (4 bits: the even element in the low nibble); a norm is an f32.
 * A code is the number of boundaries strictly below the value, so a value on a boundary belongs to the lower cell. There is no special
 * case for zero vectors: with a norm of at most 1e-10 the scale is 0, every code is 2^(bits-1) - 1, and the norm is kept as it is.
 * A block whose norm is not finite (NaN or infinity in the vector, or squares that overflow) has norm NaN and codes 0: it decodes to NaN.
 */
export interface KvCodec {
  readonly id: KvCodecId;
  readonly bits: KvBits;
  readonly headDim: number;
  /** Bits that a code takes: `bits`, or 8 where the codec keeps a byte each. */
  readonly codeWidth: number;
  /** Bytes of the codes of one vector. */
  readonly packedBytes: number;
  /** f32 norms of one vector, one for each contiguous block of headDim / norms values. */
  readonly norms: number;
  /** Bytes of one vector: codes and norms. */
  readonly vectorBytes: number;
  /** Partial sums in a norm: the block is cut into so many contiguous parts. */
  readonly normLanes: number;
  /** The block's RMS is its norm / normScale: 16 where the norm is the L2 norm of 256 values, else 1. */
  readonly normScale: number;
  /** 2^bits values, ascending, antisymmetric. */
  readonly centroids: Float32Array;
  /** 2^bits - 1 values, ascending. */
  readonly boundaries: Float32Array;
}

export const kvCodecIds = ["mlx-native-v1", "lloyd-max-v2"] as const;
export type KvCodecId = (typeof kvCodecIds)[number];
export const kvBits = [4, 5, 6, 8] as const;
export type KvBits = (typeof kvBits)[number];

/**
 * Head dimensions that each codec takes. For lloyd-max-v2 these are the orders of `fwht` that fill whole bytes at every width, up to the length
 * of the sign diagonal; below 16 the norm would take as much as the codes. Normal data come back with the error that theory gives for N(0, 1), or
 * up to 5 % less for the shortest: a vector at unit RMS has lighter tails than N(0, 1).
 */
export const kvHeadDims: Readonly<Record<KvCodecId, readonly number[]>> = {
  "mlx-native-v1": [256, 512],
  "lloyd-max-v2": [16, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256, 320, 384, 512],
};

const mirrored = (half: readonly number[]): number[] => half.map((v) => -v).reverse();

function tables(id: KvCodecId, bits: KvBits): { centroids: Float32Array; boundaries: Float32Array } {
  if (id === "mlx-native-v1") {
    const { centroids, boundaries } = mlxNativeHalves[bits];
    return {
      centroids: Float32Array.from([...mirrored(centroids), ...centroids]),
      boundaries: Float32Array.from([...mirrored(boundaries), 0, ...boundaries]),
    };
  }
  const centroids = Float32Array.from([...mirrored(lloydMaxHalves[bits]), ...lloydMaxHalves[bits]]);
  return { centroids, boundaries: centroids.subarray(1).map((c, i) => (c + (centroids[i] ?? 0)) / 2) };
}

/**
 * The codec `id` at `bits` per value for vectors of headDim values; errors name `op`.
 * @throws AttrError for an id, bits or headDim that does not exist.
 */
export function kvCodec(id: KvCodecId, bits: KvBits, headDim: number, op = "kv_codec"): KvCodec {
  if (!kvCodecIds.includes(id)) throw new AttrError(op, `id: expected ${kvCodecIds.join(" or ")}, got ${String(id)}`);
  if (!kvBits.includes(bits)) throw new AttrError(op, `bits: expected one of ${kvBits.join(", ")}, got ${String(bits)}`);
  if (!kvHeadDims[id].includes(headDim))
    throw new AttrError(op, `headDim: expected one of ${kvHeadDims[id].join(", ")} for ${id}, got ${String(headDim)}`);
  const codeWidth = id === "mlx-native-v1" && bits !== 4 ? 8 : bits;
  const packedBytes = (headDim * codeWidth) / 8;
  const norms = Math.ceil(headDim / 256);
  const wide = id === "mlx-native-v1" && headDim === 256;
  return {
    id,
    bits,
    headDim,
    codeWidth,
    packedBytes,
    norms,
    vectorBytes: packedBytes + 4 * norms,
    normLanes: wide ? 32 : headDim % 16 === 0 ? 16 : 8,
    normScale: wide ? 16 : 1,
    ...tables(id, bits),
  };
}

/** Sum of squares as a SIMD group forms it: each lane adds its contiguous part in order, then lanes are paired at distance 1, 2, 4, ... */
function sumOfSquares(x: Float32Array, lanes: number): number {
  const part = x.length / lanes;
  const sums = new Float32Array(lanes);
  for (let j = 0; j < x.length; j++) {
    const v = x[j] ?? 0;
    const lane = Math.floor(j / part);
    sums[lane] = (sums[lane] ?? 0) + Math.fround(v * v);
  }
  for (let h = 1; h < lanes; h *= 2) for (let l = 0; l < lanes; l += 2 * h) sums[l] = (sums[l] ?? 0) + (sums[l + h] ?? 0);
  return sums[0] ?? 0;
}

/** Norm of one block in the codec's convention; NaN when it is not finite. */
function normOf(codec: KvCodec, block: Float32Array): number {
  const sum = sumOfSquares(block, codec.normLanes);
  const norm = Math.fround(Math.sqrt(codec.normScale === 1 ? Math.fround(sum / block.length) : sum));
  return Number.isFinite(norm) ? norm : Number.NaN;
}

function expectLength(op: string, operand: string, data: { readonly length: number }, expected: number): void {
  if (data.length !== expected) throw new ShapeError(op, `${operand}: expected ${expected} elements, got ${data.length}`);
}

/**
 * The first half of encoding x [headDim]: the rotated values that the codebook sees, each block at unit RMS (or 0 for a norm of at most 1e-10,
 * NaN for one that is not finite), and the norms.
 */
export function standardizeKvVector(codec: KvCodec, x: Float32Array): { values: Float32Array; norms: Float32Array } {
  expectLength("standardize_kv_vector", "x", x, codec.headDim);
  const values = Float32Array.from(x);
  signThenFwht(values);
  const size = codec.headDim / codec.norms;
  const norms = Float32Array.from({ length: codec.norms }, (_, b) => normOf(codec, values.subarray(b * size, (b + 1) * size)));
  for (let j = 0; j < values.length; j++) {
    const norm = norms[Math.floor(j / size)] ?? 0;
    const gain = norm <= 1e-10 ? 0 : Math.fround(Math.fround(1 / norm) * codec.normScale);
    values[j] = (values[j] ?? 0) * gain;
  }
  return { values, norms };
}

/** How many boundaries (ascending) are strictly below the value; 0 for NaN. */
export function countBelow(boundaries: Float32Array, value: number): number {
  let [low, high] = [0, boundaries.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (value > (boundaries[middle] ?? 0)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Encode x [headDim] into packed [packedBytes] and norms [norms]. Lengths are checked before anything is written. */
export function encodeKvVector(codec: KvCodec, x: Float32Array, packed: Uint8Array, norms: Float32Array): void {
  expectLength("encode_kv_vector", "x", x, codec.headDim);
  expectLength("encode_kv_vector", "packed", packed, codec.packedBytes);
  expectLength("encode_kv_vector", "norms", norms, codec.norms);
  const standard = standardizeKvVector(codec, x);
  norms.set(standard.norms);
  let [stream, filled, at] = [0, 0, 0];
  for (const value of standard.values) {
    stream |= countBelow(codec.boundaries, value) << filled;
    filled += codec.codeWidth;
    for (; filled >= 8; filled -= 8) {
      packed[at++] = stream & 255;
      stream >>= 8;
    }
  }
}

/** Decode one vector into out [headDim], in the rotated domain: the centroid times f32(norm / normScale). */
export function decodeKvVector(codec: KvCodec, packed: Uint8Array, norms: Float32Array, out: Float32Array): void {
  expectLength("decode_kv_vector", "packed", packed, codec.packedBytes);
  expectLength("decode_kv_vector", "norms", norms, codec.norms);
  expectLength("decode_kv_vector", "out", out, codec.headDim);
  const scales = norms.map((norm) => norm / codec.normScale);
  const size = codec.headDim / codec.norms;
  const mask = (1 << codec.bits) - 1;
  let [stream, filled, at] = [0, 0, 0];
  for (let j = 0; j < out.length; j++) {
    for (; filled < codec.codeWidth; filled += 8) stream |= (packed[at++] ?? 0) << filled;
    out[j] = (codec.centroids[stream & mask] ?? 0) * (scales[Math.floor(j / size)] ?? 0);
    stream >>= codec.codeWidth;
    filled -= codec.codeWidth;
  }
}
