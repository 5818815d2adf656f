// Rotations of pairs of values.
#pragma once
#include "common.h"

// (first, second) by the angle whose cosine and sine are given, rounded as the sums of products that they are.
inline float2 rotate_pair(float first, float second, float cosine, float sine) {
  return float2(first * cosine - second * sine, second * cosine + first * sine);
}

// Places of pair i of a head: (i, i + half), or interleaved (2 i, 2 i + 1).
inline uint2 pair_at(bool interleaved, uint half_dim, uint i) { return interleaved ? uint2(2 * i, 2 * i + 1) : uint2(i, i + half_dim); }

// A table of angles as it lies in memory, and its extents.
struct Angles {
  device const uchar *cosines, *sines;
};
struct RopeTable {
  uint half_dim;  // pairs of a head that turn; the values behind them stay
  uint rows;
};

// Value `part` of the head that begins at x[begin], turned by the angles of a token and rounded to the dtype of x: what another thread
// makes of the other value of its pair is left to that one.
inline float turned_value(device const uchar *x, uint type, ulong begin, uint part, bool interleaved, Angles angles, uint table_type, RopeTable table, uint token) {
  const float value = load_float(x, type, begin + part);
  if (part >= 2 * table.half_dim) return value;
  const uint i = interleaved ? part / 2 : part % table.half_dim;
  const uint2 pair = pair_at(interleaved, table.half_dim, i);
  const ulong angle = ulong(token % table.rows) * table.half_dim + i;
  const float2 turned = rotate_pair(load_float(x, type, begin + pair.x), load_float(x, type, begin + pair.y), load_float(angles.cosines, table_type, angle),
                                    load_float(angles.sines, table_type, angle));
  const float result = part == pair.x ? turned.x : turned.y;
  return type == F16 ? float(half(result)) : type == BF16 ? to_float(to_bf16(result)) : result;
}
