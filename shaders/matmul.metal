// y = x w, of matrices: x [.., m, k], w [.., k, n] or transposed [.., n, k], y [.., m, n]. Leading axes broadcast.
#include "common.h"
#include "broadcast.h"
#include "epilogue.h"
#include "matvec.h"
#include "tiles.h"

constant bool TRANSPOSED [[function_constant(8)]];
constant bool BATCHED [[function_constant(9)]];

struct MatmulArgs {
  uint m, n, k;
  Broadcast<2, 8> batch;  // leading axes; positions count matrices
  EPILOGUE_MEMBERS
};

// The matrices of x and w for matrix `index` of y.
inline ulong2 matrices(constant MatmulArgs &args, uint index) {
  if (!BATCHED) return ulong2(0ul);
  const Positions<2> at = positions(args.batch, index);
  return ulong2(at.of[0], at.of[1]);
}
inline void finish(Epilogue epilogue, device uchar *y, uint matrix, uint row, uint column, uint m, uint n, float value) {
  const ulong index = (ulong(matrix) * m + row) * n + column;
  store_result(y, Y_TYPE, index, epilogue.apply(value, index));
}

// At most X_ROWS rows, w transposed: as linear_rows.
kernel void matmul_rows(constant MatmulArgs &args [[buffer(0)]],
                        device const uchar *x [[buffer(1)]],
                        device const uchar *w [[buffer(2)]],
                        device uchar *y [[buffer(3)]] EPILOGUE_PARAMETERS,
                        uint3 position [[threadgroup_position_in_grid]],
                        uint group [[simdgroup_index_in_threadgroup]],
                        uint lane [[thread_index_in_simdgroup]]) {
  const uint first = (position.x * MATVEC_SIMDGROUPS + group) * W_ROWS;
  if (first >= args.n) return;
  const ulong2 matrix = matrices(args, position.z);
  device const uchar *left = x + matrix.x * args.m * row_bytes(X_TYPE, args.k);
  device const uchar *right = w + (matrix.y * args.n + first) * row_bytes(W_TYPE, args.k);
  const Products sums = lane_products(left, args.m, right, args.n - first, args.k, lane);
  const float value = own_product(sums, lane);
  const uint row = lane % X_ROWS, column = first + lane / X_ROWS;
  if (lane < W_ROWS * X_ROWS && row < args.m && column < args.n)
    finish(EPILOGUE(args), y, position.z, row, column, args.m, args.n, value);
}

// At most X_ROWS rows, w as it is: a lane per column, so that neighbours read neighbours; eight simdgroups share k. Reads w once, 2 flops per
// element and row of x. Threadgroup memory: 8 KiB.
constexpr constant uint COLUMN_SIMDGROUPS = 8;
kernel void matmul_columns(constant MatmulArgs &args [[buffer(0)]],
                           device const uchar *x [[buffer(1)]],
                           device const uchar *w [[buffer(2)]],
                           device uchar *y [[buffer(3)]] EPILOGUE_PARAMETERS,
                           uint3 position [[threadgroup_position_in_grid]],
                           uint group [[simdgroup_index_in_threadgroup]],
                           uint lane [[thread_index_in_simdgroup]]) {
  threadgroup float parts[COLUMN_SIMDGROUPS][8][32];
  const ulong2 matrix = matrices(args, position.z);
  const uint column = position.x * 32 + lane;
  const ulong left = matrix.x * args.m * args.k, right = matrix.y * args.k * args.n + min(column, args.n - 1);
  float sums[8];
  for (uint m = 0; m < X_ROWS; m++) sums[m] = 0.0f;
  for (uint at = group; at < args.k; at += COLUMN_SIMDGROUPS) {
    const float value = load_float(w, W_TYPE, right + ulong(at) * args.n);
    for (uint m = 0; m < X_ROWS; m++) sums[m] = fma(load_float(x, X_TYPE, left + ulong(min(m, args.m - 1)) * args.k + at), value, sums[m]);
  }
  for (uint m = 0; m < X_ROWS; m++) parts[group][m][lane] = sums[m];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  // A simdgroup per row adds up.
  if (group >= min(X_ROWS, args.m) || column >= args.n) return;
  float sum = 0.0f;
  for (uint i = 0; i < COLUMN_SIMDGROUPS; i++) sum += parts[i][group][lane];
  finish(EPILOGUE(args), y, position.z, group, column, args.m, args.n, sum);
}

// Columns of a matrix [k, count]: threads load side by side along its rows.
struct Columns {
  device const uchar *data;
  uint count, k;
  void load(uint row, uint from, uint quads, thread float4 *values) const {
    const uint column = min(row, count - 1);
    for (uint i = 0; i < quads * 4; i++)
      values[i / 4][i % 4] = from + i < k ? load_float(data, W_TYPE, ulong(from + i) * count + column) : 0.0f;
  }
  uint row(uint thread_index) const { return thread_index % TILE_COLUMNS; }
  uint from(uint thread_index) const { return thread_index / TILE_COLUMNS * RUN; }
};

// Any number of rows, in tiles.
kernel void matmul_tiles(constant MatmulArgs &args [[buffer(0)]],
                         device const uchar *x [[buffer(1)]],
                         device const uchar *w [[buffer(2)]],
                         device uchar *y [[buffer(3)]] EPILOGUE_PARAMETERS,
                         uint3 tile [[threadgroup_position_in_grid]],
                         uint thread_index [[thread_index_in_threadgroup]],
                         uint group [[simdgroup_index_in_threadgroup]]) {
  threadgroup TileMemory memory;
  const uint row = tile.y * TILE_ROWS, column = tile.x * TILE_COLUMNS;
  const ulong2 matrix = matrices(args, tile.z);
  device const uchar *right = w + matrix.y * args.n * row_bytes(W_TYPE, args.k);
  const Rows left = {x + matrix.x * args.m * row_bytes(X_TYPE, args.k), X_TYPE, X_WIDE, args.m, args.k};
  threadgroup float *results;
  if (TRANSPOSED) {
    const Rows rows = {right, W_TYPE, W_WIDE, args.n, args.k};
    results = product_tile(left, rows, row, column, args.k, memory, thread_index, group);
  } else {
    const Columns columns = {right, args.n, args.k};
    results = product_tile(left, columns, row, column, args.k, memory, thread_index, group);
  }
  for (uint i = thread_index; i < TILE_ROWS * TILE_COLUMNS; i += TILE_THREADS) {
    const uint r = row + i / TILE_COLUMNS, c = column + i % TILE_COLUMNS;
    if (r < args.m && c < args.n) finish(EPILOGUE(args), y, tile.z, r, c, args.m, args.n, results[i]);
  }
}
