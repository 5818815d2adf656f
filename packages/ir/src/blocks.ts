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

/** Encode whole blocks. q8_0 and q4_0 follow ggml's reference quantizer; the K formats are read only. */
export function quantize(dtype: BlockDType, values: Float32Array): Uint8Array<ArrayBuffer> {
  const { blockBytes, blockSize } = dtypes[dtype];
  if (values.length % blockSize !== 0)
    throw new RlxError("ERR_QUANTIZE", `${dtype}: expected a multiple of ${blockSize} values, got ${values.length}`);
  if (dtype !== "q8_0" && dtype !== "q4_0")
    throw new RlxError("ERR_QUANTIZE", `${dtype}: expected q8_0 or q4_0, other block formats are read only`);
  const out = new Uint8Array((values.length / blockSize) * blockBytes);
  const view = new DataView(out.buffer);
  for (let b = 0; b * blockSize < values.length; b++) {
    const x = values.subarray(b * blockSize, (b + 1) * blockSize);
    let peak = 0; // the value of largest magnitude, with its sign
    for (const v of x) if (Math.abs(v) > Math.abs(peak)) peak = v;
    const at = b * blockBytes;
    const d = Math.fround(dtype === "q8_0" ? Math.abs(peak) / 127 : peak / -8);
    const inverse = d === 0 ? 0 : Math.fround(1 / d);
    view.setUint16(at, numberToF16(d), true);
    if (dtype === "q8_0") for (let i = 0; i < 32; i++) view.setInt8(at + 2 + i, roundAway(Math.fround((x[i] ?? 0) * inverse)));
    else {
      const q = (i: number): number => Math.min(15, Math.trunc(Math.fround(Math.fround((x[i] ?? 0) * inverse) + 8.5)));
      for (let i = 0; i < 16; i++) view.setUint8(at + 2 + i, q(i) | (q(i + 16) << 4));
    }
  }
  return out;
}

/** C's roundf: ties away from zero. */
const roundAway = (x: number): number => Math.sign(x) * Math.floor(Math.abs(x) + 0.5);
