// Rotation of a pair of values.
#pragma once
#include "common.h"

// (first, second) by the angle whose cosine and sine are given, rounded as the sums of products that they are.
inline float2 rotate_pair(float first, float second, float cosine, float sine) {
  return float2(first * cosine - second * sine, second * cosine + first * sine);
}

// Places of pair i of a head: (i, i + half), or interleaved (2 i, 2 i + 1).
inline uint2 pair_at(bool interleaved, uint half_dim, uint i) { return interleaved ? uint2(2 * i, 2 * i + 1) : uint2(i, i + half_dim); }
