// Functions of vectors in single precision, within a few units in the last place.
#pragma once
#include "simd.h"

namespace rlx {
namespace RLX_ISA {

// exp for x <= 30: Cody-Waite reduction, Cephes' polynomial. Results below 2^-125 are zero.
RLX_INLINE vf exp(vf x) {
  const vf n = round_even(x * set1(1.44269504088896341f));
  const vf r = fma(n, set1(2.12194440e-4f), fma(n, set1(-0.693359375f), x));
  vf p = set1(1.9875691500e-4f);
  p = fma(p, r, set1(1.3981999507e-3f));
  p = fma(p, r, set1(8.3334519073e-3f));
  p = fma(p, r, set1(4.1665795894e-2f));
  p = fma(p, r, set1(1.6666665459e-1f));
  p = fma(p, r, set1(5.0000001201e-1f));
  p = fma(p, r * r, r) + set1(1.0f);
  const vf y = p * from_bits(shl<23>(to_int(n) + set1i(127)));
  return select(lt(x, set1(-86.6f)), set1(0.0f), y);
}
RLX_INLINE float exp1(float x) {
  float y[kLanes];
  store(y, exp(set1(x)));
  return y[0];
}

// Cephes' polynomial near zero, by the exponential elsewhere.
RLX_INLINE vf tanh(vf x) {
  const vf t = abs(x);
  const vf z = x * x;
  vf p = set1(-5.70498872745e-3f);
  p = fma(p, z, set1(2.06390887954e-2f));
  p = fma(p, z, set1(-5.37397155531e-2f));
  p = fma(p, z, set1(1.33314422036e-1f));
  p = fma(p, z, set1(-3.33332819422e-1f));
  const vf near = fma(p * z, x, x);
  const vf e = exp(set1(-2.0f) * t);
  const vf far = (set1(1.0f) - e) / (set1(1.0f) + e);
  const vi sign = bits(x) & set1i(INT32_MIN);
  return select(lt(t, set1(0.625f)), near, from_bits(bits(far) | sign));
}

}  // namespace RLX_ISA
}  // namespace rlx
