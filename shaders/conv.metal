// 1-D cross-correlation: x [N, C, L], w [Cout, C / groups, taps], bias [Cout], y [N, Cout, positions].
#include "common.h"
#include "epilogue.h"
#include "tiles.h"

struct ConvArgs {
  uint channels, length;          // of x
  uint outputs, positions;        // of y
  uint depth, taps;               // channels of x per group; of a filter
  uint stride, padding, dilation;
  uint groups;
  EPILOGUE_MEMBERS
};

inline void finish(Epilogue epilogue, device uchar *y, device const uchar *bias, uint image, uint channel, uint position, constant ConvArgs &args,
                   float value) {
  if (HAS_BIAS) value += load_float(bias, BIAS_TYPE, channel);
  const ulong index = (ulong(image) * args.outputs + channel) * args.positions + position;
  store_result(y, Y_TYPE, index, epilogue.apply(value, index));
}

// Windows of the padded signal of one group, one per position: element (channel, tap) in the order of a filter. Threads load side by side
// along positions; no matrix of windows is ever written.
struct Windows {
  device const uchar *x;
  ulong start;  // of the group's first channel
  uint length, depth, taps, stride, padding, dilation;
  void load(uint row, uint from, uint quads, thread float4 *values) const {
    uint channel = from / taps, tap = from % taps;
    UNROLL for (uint i = 0; i < quads * 4; i++) {
      const long at = long(row) * stride + long(tap) * dilation - padding;
      const bool inside = channel < depth && at >= 0 && at < long(length);
      values[i / 4][i % 4] = inside ? load_float(x, X_TYPE, start + ulong(channel) * length + ulong(at)) : 0.0f;
      if (++tap == taps) {
        tap = 0;
        channel++;
      }
    }
  }
  uint row(uint thread_index) const { return thread_index % TILE_COLUMNS; }
  uint from(uint thread_index) const { return thread_index / TILE_COLUMNS * RUN; }
};

// Filters [outputs of the group, depth taps] times windows, in tiles (tiles.h): 128 threads, 13.5 KiB of threadgroup memory. Reads x once per 32
// outputs and tap. The grid's z: (image, group).
kernel void conv1d_tiles(constant ConvArgs &args [[buffer(0)]],
                         device const uchar *x [[buffer(1)]],
                         device const uchar *w [[buffer(2)]],
                         device const uchar *bias [[buffer(3), function_constant(HAS_BIAS)]],
                         device uchar *y [[buffer(4)]] EPILOGUE_PARAMETERS,
                         uint3 tile [[threadgroup_position_in_grid]],
                         uint thread_index [[thread_index_in_threadgroup]],
                         uint group [[simdgroup_index_in_threadgroup]]) {
  threadgroup TileMemory memory;
  const uint rows = args.outputs / args.groups, terms = args.depth * args.taps;
  const uint image = tile.z / args.groups, part = tile.z % args.groups;
  const uint row = tile.y * TILE_ROWS, column = tile.x * TILE_COLUMNS;
  const Rows filters = {w + ulong(part) * rows * row_bytes(W_TYPE, terms), W_TYPE, W_WIDE, rows, terms};
  const Windows windows = {x, (ulong(image) * args.channels + part * args.depth) * args.length, args.length, args.depth, args.taps, args.stride,
                           args.padding, args.dilation};
  threadgroup float *results = product_tile(filters, windows, row, column, terms, memory, thread_index, group);
  for (uint i = thread_index; i < TILE_ROWS * TILE_COLUMNS; i += TILE_THREADS) {
    const uint r = row + i / TILE_COLUMNS, position = column + i % TILE_COLUMNS;
    if (r < rows && position < args.positions) finish(EPILOGUE(args), y, bias, image, part * rows + r, position, args, results[i]);
  }
}

// Groups of few outputs (depthwise filters): a thread per result, two loads out of the cache per two flops. The grid: positions, outputs, images.
kernel void conv1d_direct(constant ConvArgs &args [[buffer(0)]],
                          device const uchar *x [[buffer(1)]],
                          device const uchar *w [[buffer(2)]],
                          device const uchar *bias [[buffer(3), function_constant(HAS_BIAS)]],
                          device uchar *y [[buffer(4)]] EPILOGUE_PARAMETERS,
                          uint3 at [[thread_position_in_grid]]) {
  const uint part = at.y / (args.outputs / args.groups);
  const ulong start = (ulong(at.z) * args.channels + part * args.depth) * args.length;
  float sum = 0.0f;
  for (uint channel = 0; channel < args.depth; channel++)
    for (uint tap = 0; tap < args.taps; tap++) {
      const long place = long(at.x) * args.stride + long(tap) * args.dilation - args.padding;
      if (place < 0 || place >= long(args.length)) continue;
      const float weight = load_float(w, W_TYPE, (ulong(at.y) * args.depth + channel) * args.taps + tap);
      sum = fma(weight, load_float(x, X_TYPE, start + ulong(channel) * args.length + ulong(place)), sum);
    }
  finish(EPILOGUE(args), y, bias, at.z, at.y, at.x, args, sum);
}
