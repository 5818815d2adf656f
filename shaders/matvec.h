// A few rows of x times rows of w, by simdgroups whose lanes share k. Weights stream past once, 32 lanes side by side; rows of x come out of
// the cache. A row of x gives the same bits alone and beside others.
#pragma once
#include "linear.h"

// Rows of x at once: 1, 4 or 8.
constant uint X_ROWS [[function_constant(7)]];
constexpr constant uint MATVEC_SIMDGROUPS = 2;

// Rows of w at once: as many as registers allow, since each of them saves loads of x.
constexpr uint w_rows(uint x_rows) { return x_rows > 4 ? 2 : 4; }

// The element of the product that a lane ends up with.
struct OwnProduct {
  uint row, column;
  float value;
  bool there;
};

// Sum of row r of w and row m of x at [r][m]: what this lane contributes. x: the first of x_count rows, w: the first of w_count rows, both
// at least 1; rows beyond repeat the last one.
template <uint X>
struct LaneSums {
  float at[w_rows(X)][X];
};
template <uint X>
inline LaneSums<X> lane_sums(device const uchar *x, uint x_count, device const uchar *w, uint w_count, uint k, uint lane) {
  constexpr uint W = w_rows(X);
  LaneSums<X> sums;
  UNROLL for (uint i = 0; i < W * X; i++) sums.at[i / X][i % X] = 0.0f;
  for (uint base = 0; base < k; base += 32 * RUN) {
    // Of block formats a lane takes a run of sixteen; of floats four quads, each next to those of its neighbours.
    const uint first = base + (is_block(W_TYPE) ? lane * RUN : lane * 4);
    const uint step = is_block(W_TYPE) ? 4 : 128;
    if (first >= k) break;
    Run runs[W];
    if (is_block(W_TYPE))
      UNROLL for (uint r = 0; r < W; r++) runs[r] = load_run(w + min(r, w_count - 1) * row_bytes(W_TYPE, k), W_TYPE, first / RUN);
    UNROLL for (uint j = 0; j < 4; j++) {
      const uint at = first + j * step;
      if (at >= k) break;
      float4 xs[X];
      UNROLL for (uint m = 0; m < X; m++) xs[m] = quad_of_row(x, X_TYPE, X_WIDE, min(m, x_count - 1), k, at);
      UNROLL for (uint r = 0; r < W; r++) {
        float4 ws;
        if (is_block(W_TYPE)) ws = decoded(runs[r], W_TYPE, j);
        else ws = quad_of_row(w, W_TYPE, W_WIDE, min(r, w_count - 1), k, at);
        UNROLL for (uint m = 0; m < X; m++) sums.at[r][m] = multiply_add(ws, xs[m], sums.at[r][m]);
      }
    }
  }
  return sums;
}

template <uint X>
inline OwnProduct own_product(device const uchar *x, uint x_count, device const uchar *w, uint n, uint k, uint position, uint lane) {
  constexpr uint W = w_rows(X);
  OwnProduct own = {lane % X, position * W + lane / X, 0.0f, false};
  const uint first = position * W;
  if (first >= n) return own;
  const LaneSums<X> sums = lane_sums<X>(x, x_count, w + first * row_bytes(W_TYPE, k), n - first, k, lane);
  UNROLL for (uint i = 0; i < W * X; i++) {
    const float sum = simd_sum(sums.at[i / X][i % X]);
    if (lane == i) own.value = sum;
  }
  own.there = lane < W * X && own.row < x_count && own.column < n;
  return own;
}

// Of x [x_count, k] times w [n, k]; `position`: of the simdgroup among all of them.
inline OwnProduct few_rows(device const uchar *x, uint x_count, device const uchar *w, uint n, uint k, uint position, uint lane) {
  if (X_ROWS == 1) return own_product<1>(x, x_count, w, n, k, position, lane);
  if (X_ROWS == 4) return own_product<4>(x, x_count, w, n, k, position, lane);
  return own_product<8>(x, x_count, w, n, k, position, lane);
}
