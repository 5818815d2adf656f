// A few rows of x times a few rows of w, by one simdgroup, whose lanes share k. Weights stream past once, 32 lanes side by side; rows of x
// come out of the cache. A row of x gives the same bits alone and beside others.
#pragma once
#include "linear.h"

// Rows of x at once: 1, 4 or 8.
constant uint X_ROWS [[function_constant(7)]];
// Rows of w at once: as many as registers allow, since each of them saves loads of x.
constant uint W_ROWS = X_ROWS > 4 ? 2 : 4;
constexpr constant uint MATVEC_SIMDGROUPS = 2;

// Sum of row r of w and row m of x at [r * X_ROWS + m].
struct Products {
  float at[16];
};

// What this lane contributes. x: the first of x_count rows, w: the first of w_count rows, both at least 1; those beyond repeat the last one.
inline Products lane_products(device const uchar *x, uint x_count, device const uchar *w, uint w_count, uint k, uint lane) {
  Products sums;
  for (uint i = 0; i < W_ROWS * X_ROWS; i++) sums.at[i] = 0.0f;
  for (uint base = 0; base < k; base += 32 * RUN) {
    // Of block formats a lane takes a run of sixteen; of floats four quads, each next to those of its neighbours.
    const uint first = base + (is_block(W_TYPE) ? lane * RUN : lane * 4);
    const uint step = is_block(W_TYPE) ? 4 : 128;
    if (first >= k) break;
    Run runs[4];
    if (is_block(W_TYPE))
      for (uint r = 0; r < W_ROWS; r++) runs[r] = load_run(w + min(r, w_count - 1) * row_bytes(W_TYPE, k), W_TYPE, W_WIDE, first / RUN);
    for (uint j = 0; j < 4; j++) {
      const uint at = first + j * step;
      if (at >= k) break;
      float4 xs[8];
      for (uint m = 0; m < X_ROWS; m++) xs[m] = load_floats(x, X_TYPE, X_WIDE, ulong(min(m, x_count - 1)) * k + at, k - at);
      for (uint r = 0; r < W_ROWS; r++) {
        float4 ws;
        if (is_block(W_TYPE)) ws = decoded(runs[r], W_TYPE, j);
        else ws = load_floats(w, W_TYPE, W_WIDE, ulong(min(r, w_count - 1)) * k + at, k - at);
        for (uint m = 0; m < X_ROWS; m++) sums.at[r * X_ROWS + m] = multiply_add(ws, xs[m], sums.at[r * X_ROWS + m]);
      }
    }
  }
  return sums;
}

// The whole sum at [lane], for lanes below W_ROWS * X_ROWS.
inline float own_product(Products sums, uint lane) {
  float own = 0.0f;
  for (uint i = 0; i < W_ROWS * X_ROWS; i++) {
    const float sum = simd_sum(sums.at[i]);
    if (lane == i) own = sum;
  }
  return own;
}
