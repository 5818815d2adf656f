// The orthonormal Walsh-Hadamard transform with the bits of packages/ir/src/kv-codec/hadamard.ts: stages at distance 1, 2, 4, ... inside runs of a power
// of two, a Hadamard matrix of order 12 or 20 across the runs, one multiplication. Every sum has the operands of the reference.
#pragma once
#include "common.h"
#include "kv_tables.h"

// A simdgroup holds up to 512 values: lane l has value l + 32 * i in register i, so memory is read and written in whole lines.
constexpr constant uint REGISTERS = 16;
constexpr constant uint MAX_IN_REGISTERS = 512;

// Rows are `order` runs: 1 of a power of two, or 12 or 20.
inline uint hadamard_order(uint n) { return popcount(n) == 1 ? 1 : n % 5 == 0 ? 20 : 12; }

inline float flip(float x, uint sign) { return as_type<float>(as_type<uint>(x) ^ sign << 31); }

// The stages at distance 1, 2, ... run / 2 on `count` registers. Loops over registers are unrolled: what has an index that is known only when the
// kernel runs would lie in memory.
inline void butterflies(thread float *v, uint count, uint run, uint lane) {
  for (uint h = 1; h < 32 && h < run; h *= 2)
    UNROLL for (uint i = 0; i < REGISTERS; ++i) {
      if (i >= count) continue;
      const float other = simd_shuffle_xor(v[i], ushort(h));
      v[i] = (lane & h) != 0 ? other - v[i] : v[i] + other;
    }
  UNROLL for (uint h = 1; h < REGISTERS; h *= 2)
    UNROLL for (uint i = 0; i < REGISTERS; ++i)
      if (32 * h < run && i < count && (i & h) == 0) {
        const float a = v[i], b = v[i + h];
        v[i] = a + b;
        v[i + h] = a - b;
      }
}

// Value j behind the stage across runs: element j % run of every run, added in the order of the runs.
inline float across_runs(threadgroup const float *row, uint order, uint run, uint j) {
  const uint i = j % run;
  uint signs = order == 12 ? MATRIX_12[j / run] : MATRIX_20[j / run];
  float sum = flip(row[i], signs >> 31);
  for (uint c = 1; c < order; ++c) {
    signs <<= 1;
    sum += flip(row[c * run + i], signs >> 31);
  }
  return sum;
}

// A row of n <= 512 values by one simdgroup, the sign diagonal on one side of it; scale: f32(1 / sqrt(n)). `row`: n values for this simdgroup alone,
// needed where n is no power of two.
inline void rotate_row(thread float *v, uint n, bool signs_before, bool signs_after, float scale, uint lane, threadgroup float *row) {
  const uint count = (n + 31) / 32, order = hadamard_order(n), run = n / order;
  UNROLL for (uint i = 0; i < REGISTERS; ++i)
    if (signs_before && i < count) v[i] = flip(v[i], SIGN_WORDS[i] >> lane & 1);
  butterflies(v, count, run, lane);
  if (order > 1) {
    UNROLL for (uint i = 0; i < REGISTERS; ++i)
      if (lane + 32 * i < n) row[lane + 32 * i] = v[i];
    simdgroup_barrier(mem_flags::mem_threadgroup);
    UNROLL for (uint i = 0; i < REGISTERS; ++i)
      if (lane + 32 * i < n) v[i] = across_runs(row, order, run, lane + 32 * i);
    simdgroup_barrier(mem_flags::mem_threadgroup);
  }
  UNROLL for (uint i = 0; i < REGISTERS; ++i) {
    if (i >= count) continue;
    v[i] *= scale;
    if (signs_after) v[i] = flip(v[i], SIGN_WORDS[i] >> lane & 1);
  }
}
