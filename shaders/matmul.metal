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
  const ulong2 matrix = matrices(args, position.z);
  device const uchar *left = x + matrix.x * args.m * row_bytes(X_TYPE, args.k);
  device const uchar *right = w + matrix.y * args.n * row_bytes(W_TYPE, args.k);
  const OwnProduct own = few_rows(left, args.m, right, args.n, args.k, position.x * MATVEC_SIMDGROUPS + group, lane);
  if (own.there) finish(EPILOGUE(args), y, position.z, own.row, own.column, args.m, args.n, own.value);
}

// At most X_ROWS rows, w as it is: a lane per column, so that neighbours read neighbours; eight simdgroups share k. Reads w once, 2 flops per
// element and row of x. 256 threads, 8 KiB of threadgroup memory.
constexpr constant uint COLUMN_SIMDGROUPS = 8;
struct ColumnParts {
  float at[COLUMN_SIMDGROUPS][8][32];
};
// What simdgroup `group` adds to column `right`: every eighth step along k.
template <uint X>
inline void column_parts(threadgroup ColumnParts &parts, constant MatmulArgs &args, device const uchar *x, ulong left, device const uchar *w, ulong right,
                         uint group, uint lane) {
  float sums[X];
  UNROLL for (uint m = 0; m < X; m++) sums[m] = 0.0f;
  for (uint at = group; at < args.k; at += COLUMN_SIMDGROUPS) {
    const float value = load_float(w, W_TYPE, right + ulong(at) * args.n);
    UNROLL for (uint m = 0; m < X; m++)
      sums[m] = fma(load_float(x, X_TYPE, left + ulong(min(m, args.m - 1)) * args.k + at), value, sums[m]);
  }
  UNROLL for (uint m = 0; m < X; m++) parts.at[group][m][lane] = sums[m];
}
kernel void matmul_columns(constant MatmulArgs &args [[buffer(0)]],
                           device const uchar *x [[buffer(1)]],
                           device const uchar *w [[buffer(2)]],
                           device uchar *y [[buffer(3)]] EPILOGUE_PARAMETERS,
                           uint3 position [[threadgroup_position_in_grid]],
                           uint group [[simdgroup_index_in_threadgroup]],
                           uint lane [[thread_index_in_simdgroup]]) {
  threadgroup ColumnParts parts;
  const ulong2 matrix = matrices(args, position.z);
  const uint column = position.x * 32 + lane;
  const ulong left = matrix.x * args.m * args.k, right = matrix.y * args.k * args.n + min(column, args.n - 1);
  if (X_ROWS == 1) column_parts<1>(parts, args, x, left, w, right, group, lane);
  else if (X_ROWS == 4) column_parts<4>(parts, args, x, left, w, right, group, lane);
  else column_parts<8>(parts, args, x, left, w, right, group, lane);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  // A simdgroup per row adds up.
  if (group >= args.m || column >= args.n) return;
  float sum = 0.0f;
  for (uint i = 0; i < COLUMN_SIMDGROUPS; i++) sum += parts.at[i][group][lane];
  finish(EPILOGUE(args), y, position.z, group, column, args.m, args.n, sum);
}

// Columns of a matrix [k, count]: threads load side by side along its rows.
struct Columns {
  device const uchar *data;
  uint count, k;
  void load(uint row, uint from, uint quads, thread float4 *values) const {
    const uint column = min(row, count - 1);
    UNROLL for (uint i = 0; i < quads * 4; i++)
      values[i / 4][i % 4] = from + i < k ? load_float(data, W_TYPE, ulong(from + i) * count + column) : 0.0f;
  }
  uint row(uint thread_index) const { return thread_index % TILE_COLUMNS; }
  uint from(uint thread_index) const { return thread_index / TILE_COLUMNS * RUN; }
};

// Any number of rows, in tiles, as linear_tiles.
kernel void matmul_tiles(constant MatmulArgs &args [[buffer(0)]],
                         device const uchar *x [[buffer(1)]],
                         device const uchar *w [[buffer(2)]],
                         device uchar *y [[buffer(3)]] EPILOGUE_PARAMETERS,
                         uint3 tile [[threadgroup_position_in_grid]],
                         uint thread_index [[thread_index_in_threadgroup]],
                         uint group [[simdgroup_index_in_threadgroup]]) {
  threadgroup TileMemory memory;
  const uint row = tile.x * TILE_ROWS, column = tile.y * TILE_COLUMNS;
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
