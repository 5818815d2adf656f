import { type BlockDType, dtypes } from "./dtype.ts";
import { RlxError } from "./errors.ts";
import { f16ToNumber, numberToF16 } from "./float.ts";

/** Block formats of GGUF (public ggml layouts), little-endian. Decoding is exact in f32 up to the one rounding of a product. */
type Decoder = (block: DataView, out: Float32Array, at: number) => void;
const half = (v: DataView, at: number): number => f16ToNumber(v.getUint16(at, true));

/** Scale and minimum of sub-block j (0..7) from the 12 packed bytes of q4_k and q5_k. */
function scaleMin(v: DataView, at: number, j: number): [number, number] {
  const s = (i: number): number => v.getUint8(at + i);
  if (j < 4) return [s(j) & 63, s(j + 4) & 63];
  return [(s(j + 4) & 15) | ((s(j - 4) >> 6) << 4), (s(j + 4) >> 4) | ((s(j) >> 6) << 4)];
}

const decoders: Record<BlockDType, Decoder> = {
  // f16 d, 32 x i8: x = d q
  q8_0: (v, out, at) => {
    const d = half(v, 0);
    for (let i = 0; i < 32; i++) out[at + i] = d * v.getInt8(2 + i);
  },
  // f16 d, 16 bytes: low nibble element i, high nibble element i + 16: x = d (q - 8)
  q4_0: (v, out, at) => {
    const d = half(v, 0);
    for (let i = 0; i < 16; i++) {
      const b = v.getUint8(2 + i);
      out[at + i] = d * ((b & 15) - 8);
      out[at + i + 16] = d * ((b >> 4) - 8);
    }
  },
  // f16 d, f16 dmin, 12 bytes of 6-bit (scale, min), 128 bytes of nibbles: x = d sc q - dmin m
  q4_k: (v, out, at) => {
    const d = half(v, 0);
    const dmin = half(v, 2);
    for (let j = 0; j < 8; j++) {
      const [sc, m] = scaleMin(v, 4, j);
      for (let i = 0; i < 32; i++) {
        const b = v.getUint8(16 + (j >> 1) * 32 + i);
        out[at + j * 32 + i] = d * sc * (j & 1 ? b >> 4 : b & 15) - dmin * m;
      }
    }
  },
  // as q4_k with 32 bytes of fifth bits (bit j of byte i) before the nibbles
  q5_k: (v, out, at) => {
    const d = half(v, 0);
    const dmin = half(v, 2);
    for (let j = 0; j < 8; j++) {
      const [sc, m] = scaleMin(v, 4, j);
      for (let i = 0; i < 32; i++) {
        const b = v.getUint8(48 + (j >> 1) * 32 + i);
        const q = (j & 1 ? b >> 4 : b & 15) + ((v.getUint8(16 + i) >> j) & 1) * 16;
        out[at + j * 32 + i] = d * sc * q - dmin * m;
      }
    }
  },
  // 128 bytes low nibbles, 64 bytes high bit pairs, 16 signed scales, f16 d: x = d sc (q - 32)
  q6_k: (v, out, at) => {
    const d = half(v, 208);
    for (let h = 0; h < 2; h++)
      for (let i = 0; i < 32; i++) {
        const lo = v.getUint8(h * 64 + i);
        const hi = v.getUint8(h * 64 + 32 + i);
        const bits = v.getUint8(128 + h * 32 + i);
        const q = [
          (lo & 15) | ((bits & 3) << 4),
          (hi & 15) | (((bits >> 2) & 3) << 4),
          (lo >> 4) | (((bits >> 4) & 3) << 4),
          (hi >> 4) | ((bits >> 6) << 4),
        ];
        for (const [k, value] of q.entries()) out[at + h * 128 + k * 32 + i] = d * v.getInt8(192 + h * 8 + (i >> 4) + 2 * k) * (value - 32);
      }
  },
};

/** Decode whole blocks to floats, one after the other. */
export function dequantize(dtype: BlockDType, bytes: Uint8Array): Float32Array<ArrayBuffer> {
  const { blockBytes, blockSize } = dtypes[dtype];
  const blocks = bytes.byteLength / blockBytes;
  if (!Number.isInteger(blocks))
    throw new RlxError("ERR_QUANTIZE", `${dtype}: expected a multiple of ${blockBytes} bytes, got ${bytes.byteLength}`);
  const out = new Float32Array(blocks * blockSize);
  for (let b = 0; b < blocks; b++)
    decoders[dtype](new DataView(bytes.buffer, bytes.byteOffset + b * blockBytes, blockBytes), out, b * blockSize);
  return out;
}

type Encoder = (block: DataView, x: Float32Array) => void;
const encoders: Partial<Record<BlockDType, Encoder>> = {
  q8_0: (v, x) => {
    let peak = 0; // Math.max keeps a NaN
    for (const value of x) peak = Math.max(peak, Math.abs(value));
    const finite = Number.isFinite(peak);
    const d = finite ? Math.fround(peak / 127) : Number.NaN;
    const scale = inverse(d);
    v.setUint16(0, numberToF16(d), true);
    for (const [i, value] of x.entries()) v.setInt8(2 + i, finite ? roundAway(Math.fround(value * scale)) : 0);
  },
  q4_0: (v, x) => {
    let peak = 0; // the value of largest magnitude, with its sign
    for (const value of x) if (Math.abs(value) > Math.abs(peak)) peak = value;
    const d = Math.fround(peak / -8);
    const scale = inverse(d);
    v.setUint16(0, numberToF16(d), true);
    const q = (i: number): number => Math.min(15, Math.trunc(Math.fround(Math.fround((x[i] ?? 0) * scale) + 8.5)));
    for (let i = 0; i < 16; i++) v.setUint8(2 + i, q(i) | (q(i + 16) << 4));
  },
};

/** 1 / d in f32; 0 when d is so small that there is none. */
function inverse(d: number): number {
  const value = Math.fround(1 / d);
  return Number.isFinite(value) ? value : 0;
}

/** C's roundf: ties away from zero. */
const roundAway = (x: number): number => Math.sign(x) * Math.floor(Math.abs(x) + 0.5);

/** Values that a vector of `headDim` takes in whole q8_0 blocks, as KV caches keep them: the last block is filled up with zeros. */
export const q8Dim = (headDim: number): number => dtypes.q8_0.blockSize * Math.ceil(headDim / dtypes.q8_0.blockSize);

/**
 * Encode whole blocks. q8_0 and q4_0 follow ggml's reference quantizer; the K formats are read only. A q8_0 block with a NaN or an
 * infinity in it reads as NaN: its scale is the NaN 0x7e00, its codes are 0.
 */
export function quantize(dtype: BlockDType, values: Float32Array): Uint8Array<ArrayBuffer> {
  const { blockBytes, blockSize } = dtypes[dtype];
  if (values.length % blockSize !== 0)
    throw new RlxError("ERR_QUANTIZE", `${dtype}: expected a multiple of ${blockSize} values, got ${values.length}`);
  const encode = encoders[dtype];
  if (!encode) throw new RlxError("ERR_QUANTIZE", `${dtype}: expected q8_0 or q4_0, other block formats are read only`);
  const out = new Uint8Array((values.length / blockSize) * blockBytes);
  for (let b = 0; b * blockSize < values.length; b++)
    encode(new DataView(out.buffer, b * blockBytes, blockBytes), values.subarray(b * blockSize, (b + 1) * blockSize));
  return out;
}
