const f32 = new Float32Array(1);
const u32 = new Uint32Array(f32.buffer);

/** The value of IEEE binary16 bits. */
export function f16ToNumber(h: number): number {
  const sign = h & 0x8000 ? -1 : 1;
  const exponent = (h >> 10) & 0x1f;
  const fraction = h & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** Round a double to binary16 bits once, to nearest, ties to even. NaN becomes the quiet NaN 0x7e00. */
export function numberToF16(x: number): number {
  if (Number.isNaN(x)) return 0x7e00;
  const sign = x < 0 || Object.is(x, -0) ? 0x8000 : 0;
  const a = Math.abs(x);
  if (a >= 65520) return sign | 0x7c00;
  if (a < 2 ** -14) return sign | roundHalfEven(a * 2 ** 24); // subnormal; a carry gives the smallest normal
  const exponent = Math.min(15, floorLog2(a));
  const fraction = roundHalfEven((a / 2 ** exponent - 1) * 1024);
  return sign | (((exponent + 15) << 10) + fraction); // a carry moves into the exponent
}

/** The value of bfloat16 bits. */
export function bf16ToNumber(b: number): number {
  u32[0] = b << 16;
  return f32[0] ?? 0;
}

/** Round a double to bfloat16 bits once, to nearest, ties to even. */
export function numberToBf16(x: number): number {
  if (Number.isNaN(x)) return 0x7fc0;
  const sign = x < 0 || Object.is(x, -0) ? 0x8000 : 0;
  const a = Math.abs(x);
  if (a >= 2 ** 128 * (1 - 2 ** -9)) return sign | 0x7f80;
  if (a < 2 ** -126) return sign | roundHalfEven(a * 2 ** 133);
  const exponent = floorLog2(a);
  const fraction = roundHalfEven((a / 2 ** exponent - 1) * 128);
  return sign | (((exponent + 127) << 7) + fraction);
}

/** Round to the nearest integer, ties to even; exact for |x| < 2^52. */
export function roundHalfEven(x: number): number {
  const r = Math.round(x);
  return Math.abs(x % 1) === 0.5 && r % 2 !== 0 ? r - 1 : r;
}

function floorLog2(a: number): number {
  let e = Math.floor(Math.log2(a));
  if (2 ** e > a) e--;
  else if (2 ** (e + 1) <= a) e++;
  return e;
}
