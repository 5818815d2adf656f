// Rows of a table by id, and whole weights, as floats. A thread converts sixteen elements. Moves bytes only: no flops.
#include "blocks.h"
#include "indices.h"
#include "quads.h"

constant uint W_TYPE [[function_constant(0)]];
constant bool W_WIDE [[function_constant(1)]];
constant uint OUT_TYPE [[function_constant(2)]];
constant bool OUT_WIDE [[function_constant(3)]];
constant uint ID_TYPE [[function_constant(4)]];

// Elements [from, from + 16) of a row of `width`, to the same ones of row `to`.
inline void convert_run(device const uchar *row, uint width, uint from, device uchar *out, ulong to) {
  Run run;
  if (is_block(W_TYPE)) run = load_run(row, W_TYPE, from / RUN);
  UNROLL for (uint j = 0; j < 4; j++) {
    const uint at = from + 4 * j;
    if (at >= width) return;
    float4 values;
    if (is_block(W_TYPE)) values = decoded(run, W_TYPE, j);
    else values = load_quad(row, W_TYPE, W_WIDE, at, width, 0.0f);
    store_quad(out, OUT_TYPE, OUT_WIDE, to * width + at, (to + 1) * width, values);
  }
}

// table [extent, width], ids [count]: out [count, width].
struct EmbeddingArgs {
  uint extent, width, slot;
};
kernel void embedding(constant EmbeddingArgs &args [[buffer(0)]],
                      device const uchar *table [[buffer(1)]],
                      device const uchar *ids [[buffer(2)]],
                      device uchar *out [[buffer(3)]],
                      device Status *status [[buffer(4)]],
                      uint2 at [[thread_position_in_grid]]) {
  const long id = load_int(ids, ID_TYPE, at.y);
  if (!within(id, args.extent)) {
    if (at.x == 0) report_index(status, args.slot, ids, ID_TYPE, at.y, args.extent);
    return;
  }
  // The grid has a thread per id even where rows are empty.
  if (at.x * RUN >= args.width) return;
  convert_run(table + ulong(id) * row_bytes(W_TYPE, args.width), args.width, at.x * RUN, out, at.y);
}

// w [rows, width] as it is stored.
struct DequantizeArgs {
  uint width;
};
kernel void dequantize(constant DequantizeArgs &args [[buffer(0)]],
                       device const uchar *w [[buffer(1)]],
                       device uchar *out [[buffer(2)]],
                       uint2 at [[thread_position_in_grid]]) {
  convert_run(w + at.y * row_bytes(W_TYPE, args.width), args.width, at.x * RUN, out, at.y);
}
