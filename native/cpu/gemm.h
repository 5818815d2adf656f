// The cache-blocked product of rows of x with rows of w, both along k: shared by linear and matmul.
#pragma once
#include "dot_tile.h"

namespace rlx {
namespace RLX_ISA {

constexpr size_t kRowBlock = 64;          // rows of x per task: with kDepth columns they stay in L2
constexpr size_t kChunk = 8 * kTileCols;  // rows of w per task

inline void tile_rows(const float* const* x, size_t rows, const float* const* w, size_t depth, float* out) {
  switch (rows) {
    case 1: return dot_tile<F32, 1, kTileCols>(x, w, depth, out);
    case 2: return dot_tile<F32, 2, kTileCols>(x, w, depth, out);
    case 3: return dot_tile<F32, 3, kTileCols>(x, w, depth, out);
    default: return dot_tile<F32, 4, kTileCols>(x, w, depth, out);
  }
}

// Adds a tile to the sums; the first block of k sets them.
inline void accumulate(float* sums, const float* tile, size_t rows, size_t cols, bool first) {
  for (size_t i = 0; i < rows; i++)
    for (size_t j = 0; j < cols; j++) {
      float& s = sums[i * kChunk + j];
      s = first ? tile[i * kTileCols + j] : s + tile[i * kTileCols + j];
    }
}

// sums[i * kChunk + j] = x[i] . w[j]. load(j, n, k, depth, strip) puts columns [k, k + depth) of n rows of w from row j on into
// strip as f32, with a stride of kDepth.
template <class Load>
inline void gemm_block(const float* const* x, size_t rows, size_t cols, size_t depth_total, const Load& load, float* sums) {
  alignas(64) float strip[kTileCols * kDepth];
  float tile[kTileRows * kTileCols];
  for (size_t k = 0; k < depth_total; k += kDepth) {
    const size_t depth = depth_total - k < kDepth ? depth_total - k : kDepth;
    for (size_t j = 0; j < cols; j += kTileCols) {
      const size_t n = cols - j < kTileCols ? cols - j : kTileCols;
      // Columns beyond the last are the last again; their results are dropped.
      const float* ws[kTileCols];
      for (size_t i = 0; i < kTileCols; i++) ws[i] = strip + (i < n ? i : n - 1) * kDepth;
      load(j, n, k, depth, strip);
      for (size_t i = 0; i < rows; i += kTileRows) {
        const size_t m = rows - i < kTileRows ? rows - i : kTileRows;
        const float* xs[kTileRows];
        for (size_t r = 0; r < m; r++) xs[r] = x[i + r] + k;
        tile_rows(xs, m, ws, depth, tile);
        accumulate(sums + i * kChunk + j, tile, m, n, k == 0);
      }
    }
  }
}

}  // namespace RLX_ISA
}  // namespace rlx
