// Products of many rows: a threadgroup of 128 threads makes 32 rows by 64 columns, 32 of k at a time, out of 8 x 8 matrices; each of its four
// simdgroups 16 x 32 of them. Per step 8 KiB + 4 KiB (f32) are loaded for 131072 flops: 10 flops per byte from the cache; both operands
// are decoded once per tile. Sums are f32. Tiles are f32 too, but where both operands are f16, which halves hold exactly.
#pragma once
#include <metal_simdgroup_matrix>
#include "linear.h"

constant bool HALVES = X_TYPE == F16 && W_TYPE == F16;
constexpr constant uint TILE_ROWS = 32;
constexpr constant uint TILE_COLUMNS = 64;
constexpr constant uint TILE_K = 32;
constexpr constant uint TILE_THREADS = 128;
// Threadgroup memory, 13.5 KiB: both tiles, rows 16 bytes longer than needed to spread over the banks; afterwards the results.
struct TileMemory {
  float4 quads[(TILE_ROWS + TILE_COLUMNS) * (TILE_K / 4 + 1)];
};

// Operands of a product give `count` rows of k values each; a thread loads 16 of the 64 x 32 values of a tile of columns (a run, of block
// formats), or 8 of the 32 x 32 of one of rows. What is beyond k is 0, rows beyond the last one repeat it.

// Rows of floats, one after the other.
struct Rows {
  device const uchar *data;
  uint dtype;
  bool wide;
  uint count, k;
  void load(uint row, uint from, uint quads, thread float4 *values) const {
    UNROLL for (uint q = 0; q < quads; q++) {
      const uint at = from + 4 * q;
      values[q] = at < k ? quad_of_row(data, dtype, wide, min(row, count - 1), k, at) : float4(0.0f);
    }
  }
  // Which row and which values of the 64 x 32 are this thread's.
  uint row(uint thread_index) const { return thread_index / 2; }
  uint from(uint thread_index) const { return thread_index % 2 * RUN; }
};

// Rows of weights in any stored form.
struct Weights {
  Rows floats;
  void load(uint row, uint from, uint quads, thread float4 *values) const {
    if (!is_block(W_TYPE)) return floats.load(row, from, quads, values);
    device const uchar *start = floats.data + min(row, floats.count - 1) * row_bytes(W_TYPE, floats.k);
    const Run run = load_run(start, W_TYPE, from / RUN);
    UNROLL for (uint q = 0; q < 4; q++) values[q] = decoded(run, W_TYPE, q);
  }
  uint row(uint thread_index) const { return floats.row(thread_index); }
  uint from(uint thread_index) const { return floats.from(thread_index); }
};

// 8 x 8 sums of a simdgroup: [2][4] of them.
struct TileSums {
  simdgroup_float8x8 at[8];
};

// Adds the product's tile at (row, column) to sums, with tiles of T.
template <class T, class Left, class Right>
inline void multiply_tiles(thread TileSums &sums, thread const Left &left, thread const Right &right, uint row, uint column, uint k,
                           threadgroup T *memory, uint thread_index, uint group) {
  constexpr uint stride = TILE_K + 16 / sizeof(T);
  const uint left_row = thread_index / 4, left_from = thread_index % 4 * 8;
  const uint right_row = right.row(thread_index), right_from = right.from(thread_index);
  threadgroup T *left_tile = memory;
  threadgroup T *right_tile = memory + TILE_ROWS * stride;
  threadgroup vec<T, 4> *left_quads = (threadgroup vec<T, 4> *)(left_tile + left_row * stride + left_from);
  threadgroup vec<T, 4> *right_quads = (threadgroup vec<T, 4> *)(right_tile + right_row * stride + right_from);
  for (uint base = 0; base < k; base += TILE_K) {
    float4 a[2], b[4];
    left.load(row + left_row, base + left_from, 2, a);
    right.load(column + right_row, base + right_from, 4, b);
    threadgroup_barrier(mem_flags::mem_threadgroup);  // the tiles before have been read
    UNROLL for (uint i = 0; i < 2; i++) left_quads[i] = vec<T, 4>(a[i]);
    UNROLL for (uint i = 0; i < 4; i++) right_quads[i] = vec<T, 4>(b[i]);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    UNROLL for (uint at = 0; at < TILE_K; at += 8) {
      simdgroup_matrix<T, 8, 8> l[2], r[4];
      UNROLL for (uint i = 0; i < 2; i++) simdgroup_load(l[i], left_tile + (group / 2 * 16 + i * 8) * stride + at, stride);
      UNROLL for (uint i = 0; i < 4; i++) simdgroup_load(r[i], right_tile + (group % 2 * 32 + i * 8) * stride + at, stride, ulong2(0), true);
      UNROLL for (uint i = 0; i < 8; i++) simdgroup_multiply_accumulate(sums.at[i], l[i / 4], r[i % 4], sums.at[i]);
    }
  }
}

// The product's tile at (row, column): element (r, c) of the result at [r * TILE_COLUMNS + c], for all threads.
template <class Left, class Right>
inline threadgroup float *product_tile(thread const Left &left, thread const Right &right, uint row, uint column, uint k, threadgroup TileMemory &memory,
                                       uint thread_index, uint group) {
  TileSums sums;
  UNROLL for (uint i = 0; i < 8; i++) sums.at[i] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
  if (HALVES) multiply_tiles(sums, left, right, row, column, k, (threadgroup half *)memory.quads, thread_index, group);
  else multiply_tiles(sums, left, right, row, column, k, (threadgroup float *)memory.quads, thread_index, group);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  threadgroup float *results = (threadgroup float *)memory.quads;
  UNROLL for (uint i = 0; i < 8; i++)
    simdgroup_store(sums.at[i], results + (group / 2 * 16 + i / 4 * 8) * TILE_COLUMNS + group % 2 * 32 + i % 4 * 8, TILE_COLUMNS);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  return results;
}
