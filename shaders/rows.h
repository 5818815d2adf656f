// A row of floats that a simdgroup or a whole threadgroup works on: its elements four at a time, and sums over all of its threads.
#pragma once
#include "common.h"

constant bool WIDE [[function_constant(0)]];    // a threadgroup per row; otherwise a simdgroup
constant bool VECTOR [[function_constant(1)]];  // rows are whole quads, and all operands lie at multiples of their size

// A thread among those of its row.
struct Team {
  uint row, index, threads, lane, group, groups;
};
inline Team team_of(uint threadgroup_index, uint thread_index, uint lane, uint group, uint groups) {
  Team t;
  t.row = WIDE ? threadgroup_index : threadgroup_index * groups + group;
  t.index = WIDE ? thread_index : lane;
  t.threads = WIDE ? groups * 32 : 32;
  t.lane = lane;
  t.group = group;
  t.groups = groups;
  return t;
}

// Every thread gets the sum. `partial` has one place per simdgroup and is used once.
inline float team_sum(float v, threadgroup float *partial, Team t) {
  v = simd_sum(v);
  if (!WIDE) return v;
  if (t.lane == 0) partial[t.group] = v;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  return simd_sum(t.lane < t.groups ? partial[t.lane] : 0.0f);
}
// The same with the largest value that is no NaN.
inline float team_max(float v, threadgroup float *partial, Team t) {
  v = simd_max(v);
  if (!WIDE) return v;
  if (t.lane == 0) partial[t.group] = v;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  return simd_max(t.lane < t.groups ? partial[t.lane] : -INFINITY);
}

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
