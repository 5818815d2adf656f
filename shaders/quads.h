// Four neighbouring floats of an operand. `wide`: they are all there, at a multiple of their size, so that one access moves them.
#pragma once
#include "common.h"

// Elements [at, at + 4); those from `end` on are `fill`.
inline float4 load_quad(device const uchar *data, uint dtype, bool wide, ulong at, ulong end, float fill) {
  if (wide) {
    if (dtype == F16) return float4(((device const half4 *)data)[at / 4]);
    if (dtype == BF16) return as_type<float4>(uint4(((device const ushort4 *)data)[at / 4]) << 16);
    return ((device const float4 *)data)[at / 4];
  }
  float4 v = float4(fill);
  for (uint i = 0; i < 4; i++)
    if (at + i < end) v[i] = load_float(data, dtype, at + i);
  return v;
}
inline void store_quad(device uchar *data, uint dtype, bool wide, ulong at, ulong end, float4 v) {
  if (wide) {
    if (dtype == F16) ((device half4 *)data)[at / 4] = half4(v);
    else if (dtype == BF16) ((device ushort4 *)data)[at / 4] = ushort4(to_bf16(v.x).bits, to_bf16(v.y).bits, to_bf16(v.z).bits, to_bf16(v.w).bits);
    else ((device float4 *)data)[at / 4] = v;
    return;
  }
  for (uint i = 0; i < 4; i++)
    if (at + i < end) store_float(data, dtype, at + i, v[i]);
}
