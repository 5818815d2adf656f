// Numbers of about 48 bits as unevaluated sums of two f32, for what needs more than f32 has (Dekker 1971; Joldes, Muller, Popescu 2017).
#pragma once
#include <metal_stdlib>
using namespace metal;

#pragma METAL fp contract(off)

struct DoubleFloat {
  float hi, lo;
};

// |a| >= |b|, or a = 0.
inline DoubleFloat fast_two_sum(float a, float b) {
  const float sum = a + b;
  return {sum, b - (sum - a)};
}
inline DoubleFloat two_sum(float a, float b) {
  const float sum = a + b, part = sum - a;
  return {sum, (a - (sum - part)) + (b - part)};
}
inline DoubleFloat two_product(float a, float b) {
  const float p = a * b;
  return {p, fma(a, b, -p)};
}

inline DoubleFloat sum_of(DoubleFloat a, DoubleFloat b) {
  const DoubleFloat high = two_sum(a.hi, b.hi), low = two_sum(a.lo, b.lo);
  const DoubleFloat carried = fast_two_sum(high.hi, high.lo + low.hi);
  return fast_two_sum(carried.hi, carried.lo + low.lo);
}
inline DoubleFloat product_of(DoubleFloat a, DoubleFloat b) {
  const DoubleFloat p = two_product(a.hi, b.hi);
  return fast_two_sum(p.hi, p.lo + (a.hi * b.lo + a.lo * b.hi));
}
inline DoubleFloat negative(DoubleFloat a) { return {-a.hi, -a.lo}; }
inline DoubleFloat negative_if(bool condition, DoubleFloat a) {
  if (condition) return negative(a);
  return a;
}
