// Rows in threadgroup memory: queries on their way in, weighted values on their way out. All threads of a threadgroup call these.
#pragma once
#include "attention.h"
#include "hadamard.h"

// Rows of n values, each by one simdgroup: signs and the Hadamard transform, or the way back. Rows have been written before a barrier.
inline void rotate_rows(threadgroup float *rows, uint stride, uint count, uint n, bool back, Team team) {
  const uint lane = team.index % 32;
  float v[REGISTERS] = {};
  for (uint r = team.index / 32; r < count; r += team.threads / 32) {
    threadgroup float *row = rows + r * stride;
    UNROLL for (uint i = 0; i < REGISTERS; i++)
      if (lane + 32 * i < n) v[i] = row[lane + 32 * i];
    rotate_row(v, n, !back, back, 1 / precise::sqrt(float(n)), lane, row);
    UNROLL for (uint i = 0; i < REGISTERS; i++)
      if (lane + 32 * i < n) row[lane + 32 * i] = v[i];
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
}

// Queries [ROWS, stride] of a tile as the keys are: rotated where those are codes. What is behind the last value or the last row is 0.
inline void load_queries(threadgroup float *queries, uint stride, device const uchar *q, constant AttentionArgs &args, Tile tile, Team team) {
  for (uint i = team.index; i < ROWS * stride; i += team.threads) {
    const uint row = i / stride, d = i % stride;
    float value = 0;
    if (row < tile.count && d < HEAD_DIM)
      value = load_float(q, Q_TYPE, place_in_output(args, tile.b, row_of(tile, row)) * HEAD_DIM + d);
    queries[i] = value;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (K_CODEC != 0) rotate_rows(queries, stride, ROWS, HEAD_DIM, false, team);
}

// What the weighted values of a row are multiplied by: one over the sum of weights, the sink among them; 0 for a row that saw nothing.
inline float normalizer(device const uchar *sinks, uint head, float top, float total) {
  if (top == -INFINITY) return 0;
  if (!HAS_SINKS) return 1 / total;
  const float sink = load_float(sinks, SINKS_TYPE, head);
  const float peak = max(top, peak_of(sink)), keep = exp(top - peak);
  return keep / fma(total, keep, exp(sink - peak));
}

// Weighted values [ROWS, stride] to the output. They and `factors` [ROWS] have been written before a barrier.
inline void store_rows(threadgroup float *values, uint stride, threadgroup const float *factors, device uchar *out, constant AttentionArgs &args,
                       Tile tile, Team team) {
  if (V_CODEC != 0) rotate_rows(values, stride, tile.count, VALUE_DIM, true, team);
  for (uint i = team.index; i < tile.count * VALUE_DIM; i += team.threads) {
    const uint row = i / VALUE_DIM, d = i % VALUE_DIM;
    const ulong at = place_in_output(args, tile.b, row_of(tile, row)) * VALUE_DIM + d;
    store_float(out, Q_TYPE, at, values[row * stride + d] * factors[row]);
  }
}
