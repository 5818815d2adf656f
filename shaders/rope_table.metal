// cos and sin of position * frequency, as f64 arithmetic gives them: the product of a 64-bit integer and an f32 is exact, its part of a turn is found with
// integers (Payne, Hanek 1983), and the series of what is left has 48 bits.
#include "common.h"
#include "double_float.h"

constant uint POSITION_TYPE [[function_constant(0)]];

struct RopeTableArgs {
  uint half_dim;          // frequencies
  float scale, scale_lo;  // of the results, as a DoubleFloat
};

// The bits of 2 / pi behind the point, as many as the largest frequency needs.
constant uint TWO_OVER_PI[9] = {0xa2f9836eu, 0x4e441529u, 0xfc2757d1u, 0xf534ddc0u, 0xdb629599u, 0x3c439041u, 0xfe5163abu, 0xdebbc561u, 0xb7246e3au};
// 32 bits from bit `first` on, which may be negative.
inline uint bits_from(int first) {
  const int word = first >> 5;
  const uint shift = uint(first) & 31;
  const uint high = word >= 0 ? TWO_OVER_PI[word] : 0, low = word >= -1 ? TWO_OVER_PI[word + 1] : 0;
  return shift == 0 ? high : high << shift | low >> (32 - shift);
}

// |position * frequency| in units of 2^-64 turns, modulo a turn: `mantissa` * 2^exponent is the frequency.
inline ulong part_of_turn(ulong position, uint mantissa, int exponent) {
  const ulong low = (position & 0xffffffffu) * mantissa, high = (position >> 32) * mantissa + (low >> 32);
  const uint product[3] = {uint(low), uint(high), uint(high >> 32)};
  uint sum[5] = {};  // least significant first; 160 bits behind the point
  for (uint j = 0; j < 3; ++j) {
    ulong carry = 0;
    for (uint i = 0; i + j < 5; ++i) {
      // 1 / (2 pi) = (2 / pi) / 4; what is before the point are whole turns.
      const ulong t = ulong(bits_from(exponent - 2 + 32 * int(4 - i))) * product[j] + sum[i + j] + carry;
      sum[i + j] = uint(t);
      carry = t >> 32;
    }
  }
  return ulong(sum[4]) << 32 | sum[3];
}

// units * 2^-64 * 2 pi.
inline DoubleFloat radians(ulong units) {
  const uint top = uint(units >> 32), shift = top != 0 ? clz(top) : 32 + clz(uint(units) | 1u);
  const ulong normal = units << shift;
  const float unit = as_type<float>((127 - 24 - shift) << 23);
  const DoubleFloat turns = {float(uint(normal >> 40)) * unit, float(uint(normal >> 16) & 0xffffffu) * (unit * 5.9604644775390625e-8f)};
  return product_of(turns, {6.28318548f, -1.74845553e-07f});
}

// 1 / n!
constant float2 INVERSE_FACTORIALS[18] = {
    {1.0f, 0.0f}, {1.0f, 0.0f}, {0.5f, 0.0f}, {0.166666672f, -4.96705388e-9f}, {0.0416666679f, -1.24176347e-9f},
    {0.00833333377f, -4.34617203e-10f}, {0.00138888892f, -3.36310944e-11f}, {0.000198412701f, -2.72559687e-12f},
    {0.0000248015876f, -3.40699609e-13f}, {0.00000275573188f, 3.79357122e-14f}, {2.755732e-7f, -7.57511221e-15f},
    {2.50521079e-8f, 4.41762304e-16f}, {2.08767559e-9f, 1.10828398e-16f}, {1.60590444e-10f, -5.35252651e-18f},
    {1.14707454e-11f, 2.37220769e-19f}, {7.64716361e-13f, 1.22007105e-20f}, {4.77947726e-14f, 7.62544404e-22f},
    {2.81145736e-15f, -1.04620847e-22f}};

// The series of x^first / first! - x^(first + 2) / (first + 2)! + ..., over x^first; the square of |x| <= pi / 4 is given.
inline DoubleFloat series(DoubleFloat square, uint first) {
  DoubleFloat sum = {};
  for (int n = int(first) + 16; n >= int(first); n -= 2) {
    const float2 term = INVERSE_FACTORIALS[n];
    sum = sum_of({term.x, term.y}, negative(product_of(square, sum)));
  }
  return sum;
}

// Frequencies along x, positions along y.
kernel void rope_table(constant RopeTableArgs &args [[buffer(0)]], device const uchar *positions [[buffer(1)]], device const float *frequencies [[buffer(2)]],
                       device float *cosines [[buffer(3)]], device float *sines [[buffer(4)]], uint2 at [[thread_position_in_grid]]) {
  const long position = load_int(positions, POSITION_TYPE, at.y);
  const uint bits = as_type<uint>(frequencies[at.x]);
  const uint field = bits >> 23 & 255, fraction = bits & 0x7fffffu;
  const ulong place = ulong(at.y) * args.half_dim + at.x;
  if (field == 255) {
    cosines[place] = NAN;
    sines[place] = NAN;
    return;
  }
  const ulong magnitude = position < 0 ? 0 - ulong(position) : ulong(position);
  // Frequencies below 2^-126 turn nothing, so what their mantissa is does not matter.
  const ulong turns = part_of_turn(magnitude, fraction | 0x800000u, int(field) - 150);
  const uint quarter = uint((turns + (1ul << 61)) >> 62) & 3;
  const ulong rest = turns - (ulong(quarter) << 62);
  const bool below = rest >> 63 != 0;
  const DoubleFloat angle = radians(below ? 0 - rest : rest);
  const DoubleFloat square = product_of(angle, angle);
  const DoubleFloat along = series(square, 0), across = product_of(angle, series(square, 1));
  const DoubleFloat side = negative_if(below, across);
  const DoubleFloat cosine = quarter % 2 == 0 ? along : side, sine = quarter % 2 == 0 ? side : along;
  const bool backwards = (position < 0) != (bits >> 31 != 0);
  const DoubleFloat scale = {args.scale, args.scale_lo};
  cosines[place] = product_of(negative_if(quarter == 1 || quarter == 2, cosine), scale).hi;
  sines[place] = product_of(negative_if((quarter >= 2) != backwards, sine), scale).hi;
}
