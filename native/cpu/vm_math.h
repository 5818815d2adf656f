// Elementary functions in single precision, without branches, so that loops over them become vector code on every instruction
// set. Errors are within 3 units in the last place; NaN, infinities and signed zeros behave as in the references.
#pragma once
#include <math.h>
#include <stdint.h>
#include <string.h>

namespace rlx {
namespace RLX_BASE {

#define RLX_MATH static inline __attribute__((always_inline))

RLX_MATH int32_t float_bits(float x) {
  int32_t b;
  memcpy(&b, &x, 4);
  return b;
}
RLX_MATH float bits_float(int32_t b) {
  float x;
  memcpy(&x, &b, 4);
  return x;
}
// y * 2^n for -252 <= n <= 254, in two steps: subnormal results and overflow come out right.
RLX_MATH float scale2(float y, int32_t n) {
  const int32_t half = n >> 1;
  return y * bits_float((half + 127) << 23) * bits_float((n - half + 127) << 23);
}

// Cephes expf: Cody-Waite reduction, polynomial of degree 5.
RLX_MATH float exp_f32(float x) {
  const float c = x > 89.f ? 89.f : x < -104.f ? -104.f : x;
  const float t = rintf(c * 1.44269504088896341f);
  const float n = t == t ? t : 0.f;
  const float r = (c - n * 0.693359375f) - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  return scale2((p * (r * r) + r) + 1.f, static_cast<int32_t>(n));
}

RLX_MATH float sigmoid_f32(float x) {
  const float e = exp_f32(-fabsf(x));
  return (x < 0.f ? e : 1.f) / (1.f + e);
}

// Cephes tanhf near zero, by the exponential elsewhere.
RLX_MATH float tanh_f32(float x) {
  const float t = fabsf(x);
  const float z = x * x;
  float p = -5.70498872745e-3f;
  p = p * z + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  const float near = p * z * x + x;
  const float far = 1.f - 2.f / (exp_f32(2.f * t) + 1.f);
  return t < 0.625f ? near : copysignf(far, x);
}

// Two minimax polynomials: near zero, and of log(1 - erf) elsewhere (after N. Juffa).
RLX_MATH float erf_f32(float x) {
  const float t = fabsf(x) > 4.f ? 4.f : fabsf(x);
  const float s = t * t;
  float p = -5.96761703e-4f;
  p = p * s + 4.99119423e-3f;
  p = p * s - 2.67681349e-2f;
  p = p * s + 1.12819925e-1f;
  p = p * s - 3.76125336e-1f;
  p = p * s + 1.28379166e-1f;
  const float near = p * x + x;
  float q = -1.72853470e-5f * t + 3.83197126e-4f;
  q = q * s + (-3.88396438e-3f * t + 2.42546219e-2f);
  q = q * t - 1.06777877e-1f;
  q = q * t - 6.34846687e-1f;
  q = q * t - 1.28717512e-1f;
  q = q * t - t;
  const float far = copysignf(1.f - exp_f32(q), x);
  return t > 0.927734375f ? far : t == t ? near : x;
}

// The functions below work in double precision inside, where plain series do.

// ln(x) for positive finite x.
RLX_MATH double log_core(float x) {
  const bool tiny = x < 1.17549435e-38f;
  const int32_t b = float_bits(tiny ? x * 8388608.f : x);
  // Unsigned: arguments that are not positive wrap here, and are replaced by the caller.
  const int32_t k = static_cast<int32_t>(static_cast<uint32_t>(b) - 0x3f3504f3u) >> 23;
  const uint32_t mantissa = static_cast<uint32_t>(b) - (static_cast<uint32_t>(k) << 23);
  const double m = static_cast<double>(bits_float(static_cast<int32_t>(mantissa)));  // in [sqrt(1/2), sqrt(2))
  const double s = (m - 1.0) / (m + 1.0);
  const double z = s * s;
  double p = 1.0 / 17;
  p = p * z + 1.0 / 15;
  p = p * z + 1.0 / 13;
  p = p * z + 1.0 / 11;
  p = p * z + 1.0 / 9;
  p = p * z + 1.0 / 7;
  p = p * z + 1.0 / 5;
  p = p * z + 1.0 / 3;
  return static_cast<double>(tiny ? k - 23 : k) * 0.69314718055994530942 + 2.0 * (s + s * z * p);
}

RLX_MATH float log_f32(float x) {
  const float r = static_cast<float>(log_core(x));
  const float special = x == 0.f ? -INFINITY : x < 0.f ? NAN : x;
  return x > 0.f && x < INFINITY ? r : special;
}

// x^y for positive finite x and finite y.
RLX_MATH float pow_core(float x, float y) {
  const double w = static_cast<double>(y) * log_core(x) * 1.44269504088896340736;
  const double c = w > 130.0 ? 130.0 : w < -152.0 ? -152.0 : w;
  const double n = rint(c);
  const double r = (c - n) * 0.69314718055994530942;
  double p = 1.0 / 362880;
  p = p * r + 1.0 / 40320;
  p = p * r + 1.0 / 5040;
  p = p * r + 1.0 / 720;
  p = p * r + 1.0 / 120;
  p = p * r + 1.0 / 24;
  p = p * r + 1.0 / 6;
  p = p * r + 0.5;
  p = p * r + 1.0;
  p = p * r + 1.0;
  return scale2(static_cast<float>(p), static_cast<int32_t>(n));
}

// Beyond this the reduction below is too coarse.
constexpr float TRIG_LIMIT = 1e8f;
struct trig {
  double sine, cosine;
  int32_t quadrant;
};
// fdlibm: x - q pi/2 with pi/2 in two parts, then the kernels for [-pi/4, pi/4].
RLX_MATH trig trig_core(float x) {
  const double d = static_cast<double>(x);
  const double q = rint(d * 0.63661977236758134308);
  const double r = (d - q * 1.57079631090164184570) - q * 1.58932547735281966916e-8;
  const double z = r * r, w = z * z;
  const double sine = (r + r * z * (-0.166666666416265235595 + z * 0.0083333293858894631756)) +
                      r * z * w * (-0.000198393348360966317347 + z * 0.0000027183114939898219064);
  const double cosine = ((1.0 + z * -0.499999997251031003120) + w * 0.0416666233237390631894) +
                        (w * z) * (-0.00138867637746099294692 + z * 0.0000243904487962774090654);
  return {sine, cosine, static_cast<int32_t>(q) & 3};
}
RLX_MATH float sin_f32(float x) {
  const trig t = trig_core(x);
  const double v = t.quadrant & 1 ? t.cosine : t.sine;
  return static_cast<float>(t.quadrant & 2 ? -v : v);
}
RLX_MATH float cos_f32(float x) {
  const trig t = trig_core(x);
  const double v = t.quadrant & 1 ? t.sine : t.cosine;
  return static_cast<float>((t.quadrant + 1) & 2 ? -v : v);
}
RLX_MATH float tan_f32(float x) {
  const trig t = trig_core(x);
  return static_cast<float>(t.quadrant & 1 ? -t.cosine / t.sine : t.sine / t.cosine);
}

// Reduced to |u| <= tan(pi/8), then the series.
RLX_MATH float atan_f32(float x) {
  const double t = static_cast<double>(fabsf(x));
  const bool inverse = t > 1.0;
  const double z = inverse ? 1.0 / t : t;
  const bool upper = z > 0.41421356237309503;
  const double u = upper ? (z - 1.0) / (z + 1.0) : z;
  const double v = u * u;
  double p = 1.0 / 25;
  p = 1.0 / 23 - p * v;
  p = 1.0 / 21 - p * v;
  p = 1.0 / 19 - p * v;
  p = 1.0 / 17 - p * v;
  p = 1.0 / 15 - p * v;
  p = 1.0 / 13 - p * v;
  p = 1.0 / 11 - p * v;
  p = 1.0 / 9 - p * v;
  p = 1.0 / 7 - p * v;
  p = 1.0 / 5 - p * v;
  p = 1.0 / 3 - p * v;
  const double a = (u - u * v * p) + (upper ? 0.78539816339744830962 : 0.0);
  return copysignf(static_cast<float>(inverse ? 1.57079632679489661923 - a : a), x);
}

}  // namespace RLX_BASE
}  // namespace rlx
