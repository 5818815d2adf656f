// Slices along an axis by index: gather and scatter, as bytes or as sums.
#include "indices.h"
#include "numbers.h"

constant uint INDEX_TYPE [[function_constant(0)]];
constant uint UNIT [[function_constant(1)]];    // bytes that move at once

// x [outer, extent, slice], indices [count]: out [outer, count, slice], in units of UNIT bytes.
struct GatherArgs {
  ulong slice;
  uint outer, extent, count, slot;
};
kernel void gather(constant GatherArgs &args [[buffer(0)]],
                   device const uchar *x [[buffer(1)]],
                   device const uchar *indices [[buffer(2)]],
                   device uchar *out [[buffer(3)]],
                   device Status *status [[buffer(4)]],
                   uint3 at [[thread_position_in_grid]]) {
  const long index = load_int(indices, INDEX_TYPE, at.y);
  if (!within(index, args.extent)) {
    if (at.x == 0 && at.z == 0) report_index(status, args.slot, indices, INDEX_TYPE, at.y, args.extent);
    return;
  }
  // The grid has a thread per index even where there is nothing to move.
  if (at.x >= args.slice || at.z >= args.outer) return;
  move_unit(out, (ulong(at.z) * args.count + at.y) * args.slice + at.x, x, (ulong(at.z) * args.extent + ulong(index)) * args.slice + at.x, UNIT);
}
