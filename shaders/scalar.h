// What bodies of the scalar expression language (packages/ir/src/scalar.ts) call where MSL's own operators and functions differ from it,
// or have errors beyond 4 units in the last place. Values are registers: float, or long that wraps.
#pragma once
#include "common.h"

// Equal operands: the sum of two zeros is the larger zero. Unordered: the sum is NaN.
inline float scalar_max(float x, float y) { return x > y ? x : y > x ? y : x != y || x == 0.0f ? x + y : x; }
inline float scalar_min(float x, float y) { return x < y ? x : y < x ? y : x != y || x == 0.0f ? -(-x - y) : x; }
inline float scalar_sign(float x) { return x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : x; }

inline float scalar_sigmoid(float x) {
  const float e = exp(-fabs(x));
  return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

// Cephes tanhf near zero, by the exponential elsewhere.
inline float scalar_tanh(float x) {
  const float z = x * x;
  float p = fma(-5.70498872745e-3f, z, 2.06390887954e-2f);
  p = fma(p, z, -5.37397155531e-2f);
  p = fma(p, z, 1.33314422036e-1f);
  p = fma(p, z, -3.33332819422e-1f);
  if (fabs(x) < 0.625f) return fma(p * z, x, x);
  return copysign(1.0f - 2.0f / (exp(2.0f * fabs(x)) + 1.0f), x);
}

// Two minimax polynomials: near zero, and of log(1 - erf) elsewhere (after N. Juffa).
inline float scalar_erf(float x) {
  if (x != x) return x;
  const float t = fabs(x) > 4.0f ? 4.0f : fabs(x);
  const float s = t * t;
  if (t <= 0.927734375f) {
    float p = fma(-5.96761703e-4f, s, 4.99119423e-3f);
    p = fma(p, s, -2.67681349e-2f);
    p = fma(p, s, 1.12819925e-1f);
    p = fma(p, s, -3.76125336e-1f);
    p = fma(p, s, 1.28379166e-1f);
    return fma(p, x, x);
  }
  float q = fma(-1.72853470e-5f, t, 3.83197126e-4f);
  q = fma(q, s, fma(-3.88396438e-3f, t, 2.42546219e-2f));
  q = fma(q, t, -1.06777877e-1f);
  q = fma(q, t, -6.34846687e-1f);
  q = fma(q, t, -1.28717512e-1f);
  return copysign(1.0f - exp(fma(q, t, -t)), x);
}

// Cephes atanf: reduced to |u| <= tan(pi/8).
inline float scalar_atan(float x) {
  const float t = fabs(x);
  const bool far = t > 2.414213562373095f;
  const bool middle = !far && t > 0.4142135623730950f;
  const float u = far ? -1.0f / t : middle ? (t - 1.0f) / (t + 1.0f) : t;
  const float z = u * u;
  float p = fma(8.05374449538e-2f, z, -1.38776856032e-1f);
  p = fma(p, z, 1.99777106478e-1f);
  p = fma(p, z, -3.33329491539e-1f);
  const float start = far ? 1.5707963267948966f : middle ? 0.7853981633974483f : 0.0f;
  return copysign(start + fma(p * z, u, u), x);
}

// The remainder with the sign of the dividend, exactly: long division of the mantissas, 8 bits at a time.
inline float scalar_rem(float x, float y) {
  const uint sign = as_type<uint>(x) & 0x80000000u;
  const uint a = as_type<uint>(x) & 0x7fffffffu, b = as_type<uint>(y) & 0x7fffffffu;
  if (a >= 0x7f800000u || b > 0x7f800000u || b == 0) return NAN;
  if (a < b) return x;
  // Subnormal numbers have the exponent of the smallest normal ones, without its leading bit.
  int exponent = max(int(a >> 23), 1);
  const int least = max(int(b >> 23), 1);
  const uint divisor = (b & 0x7fffffu) | (b >= 0x800000u ? 0x800000u : 0u);
  uint rest = ((a & 0x7fffffu) | (a >= 0x800000u ? 0x800000u : 0u)) % divisor;
  while (exponent > least && rest != 0) {
    const int shift = min(exponent - least, 8);
    rest = (rest << shift) % divisor;
    exponent -= shift;
  }
  if (rest == 0) return as_type<float>(sign);
  // Normalise again, down to a subnormal number.
  const int up = min(int(clz(rest)) - 8, least - 1);
  rest <<= up;
  return as_type<float>(sign | (rest < 0x800000u ? rest : (uint(least - up) << 23) | (rest & 0x7fffffu)));
}

// x^y for positive finite x and finite y: exp(y ln x), where ln x and the product are sums of two floats.
inline float scalar_pow_positive(float x, float y) {
  const bool tiny = x < 1.17549435e-38f;
  const uint bits = as_type<uint>(tiny ? x * 8388608.0f : x);
  const int k = int(bits - 0x3f3504f3u) >> 23;
  const float m = as_type<float>(bits - (uint(k) << 23));  // in [sqrt(1/2), sqrt(2))
  // ln m = 2 artanh(s), s = (m - 1) / (m + 1)
  const float f = m - 1.0f, d = m + 1.0f;
  const float s = f / d;
  const float s_low = (fma(-s, d, f) - s * (m - (d - 1.0f))) / d;
  const float z = s * s;
  float p = fma(z, 2.0f / 11.0f, 2.0f / 9.0f);
  p = fma(p, z, 2.0f / 7.0f);
  p = fma(p, z, 2.0f / 5.0f);
  p = fma(p, z, 2.0f / 3.0f);
  // ln 2 in two parts; the product with the first is exact.
  const float n = float(tiny ? k - 23 : k);
  const float whole = n * 0.693359375f, part = 2.0f * s;
  const float high = whole + part;
  const float low = (part - (high - whole)) + (n * -2.12194440e-4f + (2.0f * s_low + s * (z * p)));
  const float w = y * high;
  if (w > 104.0f) return INFINITY;
  if (w < -105.0f) return 0.0f;
  const float w_low = fma(y, high, -w) + y * low;
  const float q = rint(w * 1.44269504088896341f);
  const float r = fma(q, 2.12194440e-4f, fma(q, -0.693359375f, w)) + w_low;
  float e = fma(1.9875691500e-4f, r, 1.3981999507e-3f);
  e = fma(e, r, 8.3334519073e-3f);
  e = fma(e, r, 4.1665795894e-2f);
  e = fma(e, r, 1.6666665459e-1f);
  e = fma(e, r, 5.0000001201e-1f);
  return ldexp(fma(e, r * r, r) + 1.0f, int(q));
}

// JavaScript's power: NaN where C says 1 for 1^NaN, 1^inf and (-1)^inf.
inline float scalar_pow(float x, float y) {
  if (y == 0.0f) return 1.0f;
  const float size = fabs(x);
  if (x != x || y != y || (size == 1.0f && fabs(y) == INFINITY)) return NAN;
  if (fabs(y) == INFINITY) return (size > 1.0f) == (y > 0.0f) ? INFINITY : 0.0f;
  const bool whole = trunc(y) == y;
  const bool odd = whole && fabs(y) < 16777216.0f && (int(y) & 1) != 0;
  if (x < 0.0f && size < INFINITY && !whole) return NAN;
  float power;
  if (size == 0.0f || size == INFINITY) power = (size > 0.0f) == (y > 0.0f) ? INFINITY : 0.0f;
  else power = scalar_pow_positive(size, y);
  return odd ? copysign(power, x) : power;
}

inline long scalar_neg(long x) { return long(0ul - ulong(x)); }
inline long scalar_add(long x, long y) { return long(ulong(x) + ulong(y)); }
inline long scalar_sub(long x, long y) { return long(ulong(x) - ulong(y)); }
inline long scalar_mul(long x, long y) { return long(ulong(x) * ulong(y)); }
inline long scalar_abs(long x) { return x < 0 ? scalar_neg(x) : x; }
inline long scalar_sign(long x) { return long(x > 0) - long(x < 0); }
inline long scalar_max(long x, long y) { return x > y ? x : y; }
inline long scalar_min(long x, long y) { return x < y ? x : y; }
// By 0: 0. -1 apart: the most negative number has no positive.
inline long scalar_div(long x, long y) { return y == 0 ? 0 : y == -1 ? scalar_neg(x) : x / y; }
inline long scalar_rem(long x, long y) { return y == 0 || y == -1 ? 0 : x % y; }

// Floats to integers: truncated, saturated, NaN gives 0. `high` is the first float that is as large as the largest integer.
template <typename T>
inline T saturated(float x, float low, float high) {
  return x >= high ? numeric_limits<T>::max() : x <= low ? numeric_limits<T>::min() : x == x ? T(x) : T(0);
}
// An integer as a float whose last bit stands for all that are cut off, so that rounding it further rounds once.
inline float to_float_odd(long x) {
  const ulong size = x < 0 ? 0ul - ulong(x) : ulong(x);
  const int cut = max(40 - int(clz(size)), 0);
  const ulong kept = (size >> cut) | ulong(((size >> cut) << cut) != size);
  const float value = float(kept) * float(1ul << cut);
  return x < 0 ? -value : value;
}

// Stores of registers, by the type in memory. Floats round to nearest even, integers wrap.
inline void store_scalar(device float *to, float x) { *to = x; }
inline void store_scalar(device half *to, float x) { *to = half(x); }
inline void store_scalar(device bf16 *to, float x) { *to = to_bf16(x); }
inline void store_scalar(device char *to, float x) { *to = saturated<char>(x, -128.0f, 127.0f); }
inline void store_scalar(device uchar *to, float x) { *to = saturated<uchar>(x, 0.0f, 255.0f); }
inline void store_scalar(device short *to, float x) { *to = saturated<short>(x, -32768.0f, 32767.0f); }
inline void store_scalar(device int *to, float x) { *to = saturated<int>(x, -2147483648.0f, 2147483648.0f); }
inline void store_scalar(device uint *to, float x) { *to = saturated<uint>(x, 0.0f, 4294967296.0f); }
inline void store_scalar(device long *to, float x) { *to = saturated<long>(x, -9223372036854775808.0f, 9223372036854775808.0f); }
inline void store_scalar(device bool *to, float x) { *to = x != 0.0f; }
inline void store_scalar(device float *to, long x) { *to = float(x); }
inline void store_scalar(device half *to, long x) { *to = half(to_float_odd(x)); }
inline void store_scalar(device bf16 *to, long x) { *to = to_bf16(to_float_odd(x)); }
inline void store_scalar(device char *to, long x) { *to = char(x); }
inline void store_scalar(device uchar *to, long x) { *to = uchar(x); }
inline void store_scalar(device short *to, long x) { *to = short(x); }
inline void store_scalar(device int *to, long x) { *to = int(x); }
inline void store_scalar(device uint *to, long x) { *to = uint(x); }
inline void store_scalar(device long *to, long x) { *to = x; }
inline void store_scalar(device bool *to, long x) { *to = x != 0; }

// Element `index` of a result of any dtype but f64; `dtype` is a function constant.
inline void store_result(device uchar *out, uint dtype, ulong index, float value) {
  switch (dtype) {
    case F16: return store_scalar((device half *)out + index, value);
    case BF16: return store_scalar((device bf16 *)out + index, value);
    case I8: return store_scalar((device char *)out + index, value);
    case U8: return store_scalar(out + index, value);
    case I16: return store_scalar((device short *)out + index, value);
    case I32: return store_scalar((device int *)out + index, value);
    case U32: return store_scalar((device uint *)out + index, value);
    case I64: return store_scalar((device long *)out + index, value);
    case BOOL: return store_scalar((device bool *)out + index, value);
    default: return store_scalar((device float *)out + index, value);
  }
}
