// Walsh-Hadamard transforms of the rows of a tensor; x may be the memory of out.
#include "common.h"
#include "hadamard.h"

constant uint N [[function_constant(0)]];
constant bool SIGNS_BEFORE [[function_constant(1)]];
constant bool SIGNS_AFTER [[function_constant(2)]];

struct FwhtArgs {
  uint rows;
  float scale;  // f32(1 / sqrt(n))
};

// N <= 512: a simdgroup a row.
kernel void fwht(constant FwhtArgs &args [[buffer(0)]], device const float *x [[buffer(1)]], device float *out [[buffer(2)]],
                 threadgroup float *memory [[threadgroup(0)]], uint group [[threadgroup_position_in_grid]],
                 uint simdgroup [[simdgroup_index_in_threadgroup]], uint simdgroups [[simdgroups_per_threadgroup]],
                 uint lane [[thread_index_in_simdgroup]]) {
  const uint row = group * simdgroups + simdgroup;
  if (row >= args.rows) return;
  float v[REGISTERS] = {};
  UNROLL for (uint i = 0; i < REGISTERS; ++i)
    if (lane + 32 * i < N) v[i] = x[ulong(row) * N + lane + 32 * i];
  rotate_row(v, N, SIGNS_BEFORE, SIGNS_AFTER, args.scale, lane, memory + simdgroup * N);
  UNROLL for (uint i = 0; i < REGISTERS; ++i)
    if (lane + 32 * i < N) out[ulong(row) * N + lane + 32 * i] = v[i];
}

// N > 512, and no signs: a threadgroup a row, which lies in threadgroup memory. The stages inside 512 values are a simdgroup's alone, and there are as many
// simdgroups as that takes.
kernel void fwht_long(constant FwhtArgs &args [[buffer(0)]], device const float *x [[buffer(1)]], device float *out [[buffer(2)]],
                      threadgroup float *row [[threadgroup(0)]], uint group [[threadgroup_position_in_grid]],
                      uint index [[thread_index_in_threadgroup]], uint threads [[threads_per_threadgroup]],
                      uint simdgroup [[simdgroup_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]]) {
  const uint order = hadamard_order(N), run = N / order;
  const uint begin = simdgroup * MAX_IN_REGISTERS, size = min(N - begin, MAX_IN_REGISTERS);
  device const float *from = x + ulong(group) * N + begin;
  float v[REGISTERS] = {};
  UNROLL for (uint i = 0; i < REGISTERS; ++i)
    if (lane + 32 * i < size) v[i] = from[lane + 32 * i];
  butterflies(v, REGISTERS, min(run, MAX_IN_REGISTERS), lane);
  UNROLL for (uint i = 0; i < REGISTERS; ++i)
    if (lane + 32 * i < size) row[begin + lane + 32 * i] = v[i];
  for (uint h = MAX_IN_REGISTERS; h < run; h *= 2) {
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint k = index; k < N / 2; k += threads) {
      const uint j = k / h * 2 * h + k % h;
      const float a = row[j], b = row[j + h];
      row[j] = a + b;
      row[j + h] = a - b;
    }
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint j = index; j < N; j += threads) out[ulong(group) * N + j] = (order > 1 ? across_runs(row, order, run, j) : row[j]) * args.scale;
}
