// Ops that only move elements. Places and strides count units of UNIT bytes, 1 to 16.
#include "numbers.h"

constant uint UNIT [[function_constant(0)]];
constant bool TO_STATE [[function_constant(1)]];  // a state is left as it is after a failure
constant uint AXES [[function_constant(2)]];

struct BytesArgs {
  ulong bytes;
};
kernel void copy_bytes(constant BytesArgs &args [[buffer(0)]],
                       device const uchar *x [[buffer(1)]],
                       device uchar *out [[buffer(2)]],
                       device const Status *status [[buffer(3), function_constant(TO_STATE)]],
                       uint i [[thread_position_in_grid]]) {
  if (TO_STATE && refused(status)) return;
  const ulong begin = ulong(i) * UNIT;
  if (begin + UNIT <= args.bytes) move_unit(out, i, x, i, UNIT);
  else
    for (ulong at = begin; at < args.bytes; at++) out[at] = x[at];
}

// A grid of up to 8 axes: the last one, the one before it, and all others together. Index along `axis`; `rest` is what the axes behind it leave of at.z.
inline uint index_on(uint axis, uint extent, uint3 at, thread uint &rest) {
  if (axis + 1 == AXES) return at.x;
  if (axis + 2 == AXES) return at.y;
  const uint index = rest % extent;
  rest /= extent;
  return index;
}

struct RegionArgs {
  ulong from[8], to[8];
  uint extents[8];
};
struct Places {
  ulong from, to;
};
inline Places places(constant RegionArgs &args, uint3 at) {
  Places p = {0, 0};
  uint rest = at.z;
  for (uint i = AXES; i-- > 0;) {
    const uint index = index_on(i, args.extents[i], at, rest);
    p.from += index * args.from[i];
    p.to += index * args.to[i];
  }
  return p;
}

kernel void copy_region(constant RegionArgs &args [[buffer(0)]],
                        device const uchar *x [[buffer(1)]],
                        device uchar *out [[buffer(2)]],
                        uint3 at [[thread_position_in_grid]]) {
  const Places p = places(args, at);
  move_unit(out, p.to, x, p.from, UNIT);
}

// The last axis is contiguous in `out`, the one before it in `x`: squares of 32 x 32 units turn in threadgroup memory, so that both sides are read and written
// along memory. Threadgroups of 32 x 8 threads.
template <typename T>
kernel void copy_tiles(constant RegionArgs &args [[buffer(0)]],
                       device const T *x [[buffer(1)]],
                       device T *out [[buffer(2)]],
                       uint3 square [[threadgroup_position_in_grid]],
                       uint3 thread_place [[thread_position_in_threadgroup]]) {
  threadgroup T tile[32][33];
  const uint rows = args.extents[AXES - 2], columns = args.extents[AXES - 1];
  const Places p = places(args, uint3(0, 0, square.z));
  for (uint i = thread_place.y; i < 32; i += 8) {
    const uint row = square.y * 32 + thread_place.x, column = square.x * 32 + i;
    if (row < rows && column < columns) tile[i][thread_place.x] = x[p.from + row + column * args.from[AXES - 1]];
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint i = thread_place.y; i < 32; i += 8) {
    const uint row = square.y * 32 + i, column = square.x * 32 + thread_place.x;
    if (row < rows && column < columns) out[p.to + column + row * args.to[AXES - 2]] = tile[thread_place.x][i];
  }
}
template [[host_name("copy_tiles_1")]] kernel decltype(copy_tiles<uchar>) copy_tiles<uchar>;
template [[host_name("copy_tiles_2")]] kernel decltype(copy_tiles<ushort>) copy_tiles<ushort>;
template [[host_name("copy_tiles_4")]] kernel decltype(copy_tiles<uint>) copy_tiles<uint>;
template [[host_name("copy_tiles_8")]] kernel decltype(copy_tiles<uint2>) copy_tiles<uint2>;

// Elements of x at `before` within out, `value` around them: a thread per element of out, strides of x.
struct PadArgs {
  ulong from[8];
  uint extents[8], before[8], inside[8];
  uint2 value;         // its bits
  uint rows, columns;  // the last two axes of out
};
kernel void pad(constant PadArgs &args [[buffer(0)]],
                device const uchar *x [[buffer(1)]],
                device uchar *out [[buffer(2)]],
                uint3 at [[thread_position_in_grid]]) {
  ulong from = 0;
  bool inside = true;
  uint rest = at.z;
  for (uint i = AXES; i-- > 0;) {
    const uint index = index_on(i, args.extents[i], at, rest) - args.before[i];  // wraps below `before`
    inside = inside && index < args.inside[i];
    from += index * args.from[i];
  }
  const ulong to = (ulong(at.z) * args.rows + at.y) * args.columns + at.x;
  if (inside) move_unit(out, to, x, from, UNIT);
  else if (UNIT == 8) ((device uint2 *)out)[to] = args.value;
  else if (UNIT == 4) ((device uint *)out)[to] = args.value.x;
  else if (UNIT == 2) ((device ushort *)out)[to] = ushort(args.value.x);
  else out[to] = uchar(args.value.x);
}
