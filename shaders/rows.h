// Rows of floats, four elements at a time. A team works on a row; the quads of a row have the same threads in every pass.
#pragma once
#include "teams.h"

constant bool VECTOR [[function_constant(1)]];  // rows are whole quads, and all operands lie at multiples of their size

// Elements [at, at + 4) of an operand; those from `end` on are `fill`.
inline float4 load_quad(device const uchar *data, uint dtype, ulong at, ulong end, float fill) {
  if (VECTOR) {
    if (dtype == F16) return float4(((device const half4 *)data)[at / 4]);
    if (dtype == BF16) return as_type<float4>(uint4(((device const ushort4 *)data)[at / 4]) << 16);
    return ((device const float4 *)data)[at / 4];
  }
  float4 v = float4(fill);
  for (uint i = 0; i < 4; i++)
    if (at + i < end) v[i] = load_float(data, dtype, at + i);
  return v;
}
inline void store_quad(device uchar *data, uint dtype, ulong at, ulong end, float4 v) {
  if (VECTOR) {
    if (dtype == F16) ((device half4 *)data)[at / 4] = half4(v);
    else if (dtype == BF16) ((device ushort4 *)data)[at / 4] = ushort4(to_bf16(v.x).bits, to_bf16(v.y).bits, to_bf16(v.z).bits, to_bf16(v.w).bits);
    else ((device float4 *)data)[at / 4] = v;
    return;
  }
  for (uint i = 0; i < 4; i++)
    if (at + i < end) store_float(data, dtype, at + i, v[i]);
}
