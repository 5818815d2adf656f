// The newest rows of a ring in order.
#include "kv_common.h"

constant uint END_TYPE [[function_constant(0)]];
constant uint LENGTH_TYPE [[function_constant(1)]];
constant uint UNIT [[function_constant(2)]];  // bytes that a thread moves

enum RingFault : uint { RING_LENGTH = 1, RING_END, RING_OVERLAP };

struct RingArgs {
  uint slot;
  uint entries;  // of end and length; 0: nothing to move
  uint end_stride, length_stride;
  uint from_capacity, to_capacity;  // rows of a ring, and of what it is put into
  uint per_entry;                   // rings of an entry
  uint units;                       // of a row
  uint items;                       // units of all rows that could be moved
  uint overlap;
};

// Whether all entries fit and no earlier step was refused, see kv_fits.
inline bool ring_fits(constant RingArgs &args, device const uchar *end, device const uchar *length, device Status *status, uint lane, bool reporter) {
  const bool stop = refused(status);
  if (simd_any(stop)) return false;
  const long most = min(args.from_capacity, args.to_capacity);
  uint wrong = 0xffffffffu;
  bool any = false, bad_length = false;
  long n = 0, last = 0;
  for (uint e = lane; e < args.entries && wrong == 0xffffffffu; e += 32) {
    n = load_int(length, LENGTH_TYPE, e * args.length_stride);
    last = load_int(end, END_TYPE, e * args.end_stride);
    any = any || n > 0;
    bad_length = n < 0 || n > most;
    if (bad_length || last < n || last > MAX_POSITION) wrong = e;
  }
  const uint first = simd_min(wrong);
  const bool overlaps = args.overlap != 0 && simd_any(any);
  if (first == 0xffffffffu && !overlaps) return true;
  if (reporter && first == 0xffffffffu && lane == 0) report(status, args.slot, RING_OVERLAP);
  if (reporter && first != 0xffffffffu && first == wrong) {
    if (bad_length) report(status, args.slot, RING_LENGTH, first, packed_pair(args.from_capacity, args.to_capacity), n);
    else report(status, args.slot, RING_END, first, n, last);
  }
  return false;
}

kernel void kv_linearize_ring(constant RingArgs &args [[buffer(0)]], device uchar *to [[buffer(1)]], device const uchar *from [[buffer(2)]],
                              device const uchar *end [[buffer(3)]], device const uchar *length [[buffer(4)]], device Status *status [[buffer(5)]],
                              uint group [[threadgroup_position_in_grid]], uint index [[thread_index_in_threadgroup]],
                              uint size [[threads_per_threadgroup]], uint lane [[thread_index_in_simdgroup]]) {
  if (!ring_fits(args, end, length, status, lane, group == 0 && index < 32)) return;
  const uint item = group * size + index;
  if (item >= args.items) return;
  const uint unit = item % args.units, row = item / args.units;
  const uint rows = min(args.from_capacity, args.to_capacity), i = row % rows, ring = row / rows;
  const uint entry = ring / args.per_entry;
  const ulong n = ulong(load_int(length, LENGTH_TYPE, entry * args.length_stride));
  if (i >= n) return;
  const ulong position = ulong(load_int(end, END_TYPE, entry * args.end_stride)) - n + i;
  const uint slot = uint(position % ulong(args.from_capacity));
  move_unit(to, ulong(ring * args.to_capacity + i) * args.units + unit, from, ulong(ring * args.from_capacity + slot) * args.units + unit, UNIT);
}
