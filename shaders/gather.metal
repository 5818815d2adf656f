// Slices along an axis by index: gather and scatter, as bytes or as sums.
#include "indices.h"
#include "numbers.h"

constant uint INDEX_TYPE [[function_constant(0)]];
constant uint UNIT [[function_constant(1)]];        // bytes that move at once
constant bool ADD [[function_constant(2)]];         // sums instead
constant uint VALUE_TYPE [[function_constant(3)]];  // of sums

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

// updates [outer, count, slice] into out [outer, extent, slice], where `slice` counts units, or elements of sums. A simdgroup per index and `outer`: of those with
// the same index, the last one replaces, the first one adds all of them in their order. So nothing depends on the order of threads.
struct ScatterArgs {
  ulong slice;
  uint outer, extent, count, slot;
};

template <typename T>
kernel void scatter(constant ScatterArgs &args [[buffer(0)]],
                    device const uchar *updates [[buffer(1)]],
                    device const uchar *indices [[buffer(2)]],
                    device uchar *out [[buffer(3)]],
                    device Status *status [[buffer(4)]],
                    uint2 place [[threadgroup_position_in_grid]],
                    uint lane [[thread_index_in_simdgroup]]) {
  const uint j = place.x;
  const long index = load_int(indices, INDEX_TYPE, j);
  if (!within(index, args.extent)) {
    if (lane == 0 && place.y == 0) report_index(status, args.slot, indices, INDEX_TYPE, j, args.extent);
    return;
  }
  if (place.y >= args.outer) return;
  bool other = false;
  for (uint i = (ADD ? 0 : j + 1) + lane; i < (ADD ? j : args.count); i += 32) other = other || load_int(indices, INDEX_TYPE, i) == index;
  if (simd_any(other)) return;
  const ulong to = (ulong(place.y) * args.extent + ulong(index)) * args.slice, from = ulong(place.y) * args.count * args.slice;
  for (ulong i = lane; i < args.slice; i += 32) {
    if (!ADD) {
      move_unit(out, to + i, updates, from + j * args.slice + i, UNIT);
      continue;
    }
    T sum = load_number(out, VALUE_TYPE, to + i, T(0));
    for (uint k = j; k < args.count; k++)
      if (load_int(indices, INDEX_TYPE, k) == index) sum = plus(sum, load_number(updates, VALUE_TYPE, from + k * args.slice + i, T(0)));
    store_number(out, VALUE_TYPE, to + i, sum);
  }
}
template [[host_name("scatter_float")]] kernel decltype(scatter<float>) scatter<float>;
template [[host_name("scatter_int")]] kernel decltype(scatter<long>) scatter<long>;
