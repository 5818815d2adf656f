const f32 = new Float32Array(1);
const u32 = new Uint32Array(f32.buffer);

/** The value of IEEE binary16 bits. */
export function f16ToNumber(h: number): number {
  const sign = h & 0x8000 ? -1 : 1;
  if ((h & 0x7c00) === 0x7c00) return h & 0x3ff ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  u32[0] = (h & 0x7fff) << 13; // exponent and fraction in their places of a binary32, the bias 112 too small
  return sign * (f32[0] ?? 0) * 2 ** 112;
}

/**
 * Bits of x as binary32, rounded to odd: an inexact result is cut off and its last bit set. Rounding that once more, to two bits less or
 * fewer, gives what rounding x itself would (Boldo and Melquiond 2008). Not for NaN.
 */
function oddBits(x: number): number {
  f32[0] = x;
  const near = f32[0] ?? 0;
  const bits = u32[0] ?? 0;
  if (near === x) return bits;
  return (Math.abs(near) > Math.abs(x) ? bits - 1 : bits) | 1;
}

/** Round a double to binary16 bits once, to nearest, ties to even. NaN becomes the quiet NaN 0x7e00. */
export function numberToF16(x: number): number {
  if (Number.isNaN(x)) return 0x7e00;
  const bits = oddBits(x);
  const sign = (bits >>> 16) & 0x8000;
  const exponent = ((bits >>> 23) & 0xff) - 112;
  if (exponent >= 31) return sign | 0x7c00;
  if (exponent > 0) {
    const wide = (exponent << 23) | (bits & 0x7fffff);
    return sign | ((wide + 0xfff + ((wide >> 13) & 1)) >> 13); // a carry moves into the exponent, and from the largest to infinity
  }
  if (exponent < -10) return sign;
  const shift = 14 - exponent; // subnormal: a carry gives the smallest normal
  const fraction = (bits & 0x7fffff) | 0x800000;
  return sign | ((fraction + (1 << (shift - 1)) - 1 + ((fraction >> shift) & 1)) >> shift);
}

/** The value of bfloat16 bits. */
export function bf16ToNumber(b: number): number {
  u32[0] = b << 16;
  return f32[0] ?? 0;
}

/** Round a double to bfloat16 bits once, to nearest, ties to even. NaN becomes the quiet NaN 0x7fc0. */
export function numberToBf16(x: number): number {
  if (Number.isNaN(x)) return 0x7fc0;
  const bits = oddBits(x);
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

/** Round to the nearest integer, ties to even; exact for |x| < 2^52. */
export function roundHalfEven(x: number): number {
  const r = Math.round(x);
  return Math.abs(x % 1) === 0.5 && r % 2 !== 0 ? r - 1 : r;
}
