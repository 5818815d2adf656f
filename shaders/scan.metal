// cumsum: floats in f32, integers in wrapping i64.
#include "numbers.h"
#include "teams.h"

constant uint X_TYPE [[function_constant(1)]];
constant bool EXCLUSIVE [[function_constant(2)]];
constant bool REVERSE [[function_constant(3)]];

inline float from_below(float v, ushort delta) { return simd_shuffle_up(v, delta); }
inline long from_below(long v, ushort delta) { return as_type<long>(simd_shuffle_up(as_type<uint2>(v), delta)); }
inline float from_last(float v) { return simd_broadcast(v, 31); }
inline long from_last(long v) { return as_type<long>(simd_broadcast(as_type<uint2>(v), 31)); }

// x, out [outer, length, inner]
struct ScanArgs {
  uint lanes, length, inner;
};

// A team per lane, which takes as many elements at a time as it has threads.
template <typename T>
kernel void scan(constant ScanArgs &args [[buffer(0)]],
                 device const uchar *x [[buffer(1)]],
                 device uchar *out [[buffer(2)]],
                 uint threadgroup_index [[threadgroup_position_in_grid]],
                 uint thread_index [[thread_index_in_threadgroup]],
                 uint lane [[thread_index_in_simdgroup]],
                 uint group [[simdgroup_index_in_threadgroup]],
                 uint groups [[simdgroups_per_threadgroup]]) {
  threadgroup T totals[32];
  const Team t = team_of(threadgroup_index, thread_index, lane, group, groups);
  if (t.work >= args.lanes) return;
  const ulong start = ulong(t.work / args.inner) * args.length * args.inner + t.work % args.inner;
  T before = 0;  // the sum of all tiles so far
  for (uint tile = 0; tile < args.length; tile += t.threads) {
    const uint i = tile + t.index;
    const ulong at = start + ulong(REVERSE ? args.length - 1 - i : i) * args.inner;
    const T v = i < args.length ? load_number(x, X_TYPE, at, T(0)) : T(0);
    T sum = v, own = 0, total = v;  // with the element itself, without it, of the tile
    if (TEAM != ONE_THREAD) {
      for (ushort delta = 1; delta < 32; delta <<= 1) {
        const T lower = from_below(sum, delta);
        if (lane >= delta) sum = plus(lower, sum);
      }
      own = from_below(sum, 1);
      if (lane == 0) own = 0;
      total = from_last(sum);
    }
    if (TEAM == ONE_THREADGROUP) {
      if (lane == 0) totals[group] = total;
      threadgroup_barrier(mem_flags::mem_threadgroup);
      T lower = 0;
      total = 0;
      for (uint g = 0; g < groups; g++) {
        if (g == group) lower = total;
        total = plus(total, totals[g]);
      }
      threadgroup_barrier(mem_flags::mem_threadgroup);
      sum = plus(lower, sum);
      own = plus(lower, own);
    }
    if (i < args.length) store_number(out, X_TYPE, at, plus(before, EXCLUSIVE ? own : sum));
    before = plus(before, total);
  }
}
template [[host_name("scan_float")]] kernel decltype(scan<float>) scan<float>;
template [[host_name("scan_int")]] kernel decltype(scan<long>) scan<long>;
