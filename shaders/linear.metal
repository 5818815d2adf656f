// y = x w^T + bias: x [rows, k], w [n, k] in any stored form, y [rows, n].
#include "common.h"
#include "epilogue.h"
#include "matvec.h"
#include "tiles.h"

struct LinearArgs {
  uint rows, n, k;
  EPILOGUE_MEMBERS
};

inline void finish(Epilogue epilogue, device uchar *y, device const uchar *bias, uint row, uint column, uint n, float value) {
  if (HAS_BIAS) value += load_float(bias, BIAS_TYPE, column);
  const ulong index = ulong(row) * n + column;
  store_result(y, Y_TYPE, index, epilogue.apply(value, index));
}

// At most X_ROWS rows: a simdgroup per 4 columns (2 for 8 rows), 64 threads, no threadgroup memory. It reads every weight once, for 2 flops
// per weight and row of x: at one row 1 flop per byte of f16, 3.5 of q4_0, far below what a GPU computes in the time, so that bandwidth
// bounds it.
kernel void linear_rows(constant LinearArgs &args [[buffer(0)]],
                        device const uchar *x [[buffer(1)]],
                        device const uchar *w [[buffer(2)]],
                        device const uchar *bias [[buffer(3), function_constant(HAS_BIAS)]],
                        device uchar *y [[buffer(4)]] EPILOGUE_PARAMETERS,
                        uint threadgroup_index [[threadgroup_position_in_grid]],
                        uint group [[simdgroup_index_in_threadgroup]],
                        uint lane [[thread_index_in_simdgroup]]) {
  const OwnProduct own = few_rows(x, args.rows, w, args.n, args.k, threadgroup_index * MATVEC_SIMDGROUPS + group, lane);
  if (own.there) finish(EPILOGUE(args), y, bias, own.row, own.column, args.n, own.value);
}

// Any number of rows, in tiles (tiles.h): 128 threads, 13.5 KiB of threadgroup memory. Weights are read once per 32 rows of x;
// threadgroups that share them follow each other, so that they come out of the cache.
kernel void linear_tiles(constant LinearArgs &args [[buffer(0)]],
                         device const uchar *x [[buffer(1)]],
                         device const uchar *w [[buffer(2)]],
                         device const uchar *bias [[buffer(3), function_constant(HAS_BIAS)]],
                         device uchar *y [[buffer(4)]] EPILOGUE_PARAMETERS,
                         uint2 tile [[threadgroup_position_in_grid]],
                         uint thread_index [[thread_index_in_threadgroup]],
                         uint group [[simdgroup_index_in_threadgroup]]) {
  threadgroup TileMemory memory;
  const uint row = tile.x * TILE_ROWS, column = tile.y * TILE_COLUMNS;
  const Rows left = {x, X_TYPE, X_WIDE, args.rows, args.k};
  const Weights right = {{w, W_TYPE, W_WIDE, args.n, args.k}};
  threadgroup float *results = product_tile(left, right, row, column, args.k, memory, thread_index, group);
  for (uint i = thread_index; i < TILE_ROWS * TILE_COLUMNS; i += TILE_THREADS) {
    const uint r = row + i / TILE_COLUMNS, c = column + i % TILE_COLUMNS;
    if (r < args.rows && c < args.n) finish(EPILOGUE(args), y, bias, r, c, args.n, results[i]);
  }
}
