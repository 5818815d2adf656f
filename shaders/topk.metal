// The k largest elements of rows: radix selection of the last one of them, then all that come before it, sorted by counting.
#include "numbers.h"
#include "order.h"

constant uint X_TYPE [[function_constant(0)]];
constant uint UNIT [[function_constant(1)]];       // bytes of an element
constant bool FROM_LIST [[function_constant(2)]];  // of a row, only elements of a list of indices count
constant bool TO_RESULT [[function_constant(3)]];  // otherwise to such a list, in no order
constant bool TWO_WORDS [[function_constant(4)]];  // elements of 8 bytes
constexpr constant uint MOST = 256;                // k
constant uint NONE = 0xffffffffu;

// Where an element comes in the order: its value in two words, then its index, the lower one above the higher one. No two are equal.
struct Rank {
  uint words[3];
};
inline Rank rank_of(device const uchar *x, ulong row_start, uint index) {
  const ulong order = order_at(x, X_TYPE, row_start + index);
  Rank r;
  r.words[0] = uint(order >> 32);
  r.words[1] = uint(order);
  r.words[2] = ~index;
  return r;
}
inline bool above(Rank a, Rank b) {
  for (uint w = 0; w < 2; w++)
    if (a.words[w] != b.words[w]) return a.words[w] > b.words[w];
  return a.words[2] > b.words[2];
}
// Digit 0 is the highest one of the 12 of 8 bits.
inline uint digit_of(Rank r, uint digit) { return r.words[digit / 4] >> (24 - digit % 4 * 8) & 255; }
inline bool same_before(Rank a, Rank b, uint digit) {
  for (uint w = 0; w < digit / 4; w++)
    if (a.words[w] != b.words[w]) return false;
  return digit % 4 == 0 || (a.words[digit / 4] ^ b.words[digit / 4]) >> (32 - digit % 4 * 8) == 0;
}

// x [rows, n]. A threadgroup takes `part` elements of a row (of its list, which has `count`) and gives the k largest, or all where there are less.
struct TopkArgs {
  uint n, k, count, part, parts;
};
kernel void topk(constant TopkArgs &args [[buffer(0)]],
                 device const uchar *x [[buffer(1)]],
                 device const uint *list [[buffer(2), function_constant(FROM_LIST)]],
                 device uchar *values [[buffer(3), function_constant(TO_RESULT)]],
                 device uint *indices [[buffer(4)]],
                 uint2 place [[threadgroup_position_in_grid]],
                 uint thread_index [[thread_index_in_threadgroup]],
                 uint lane [[thread_index_in_simdgroup]],
                 uint group [[simdgroup_index_in_threadgroup]],
                 uint groups [[simdgroups_per_threadgroup]]) {
  threadgroup atomic_uint bins[256], filled;
  threadgroup uint found_digit, found_left, found_count;
  threadgroup Rank chosen[MOST];
  const uint threads = groups * 32, begin = place.y * args.part, end = min(begin + args.part, args.count);
  const uint wanted = min(args.k, end - begin);
  const ulong row = ulong(place.x) * args.n, list_row = ulong(place.x) * args.count;

  // The last one of those wanted, digit by digit; digits that are not needed to tell it from the others stay 0.
  Rank least = {{0, 0, 0}};
  uint left = wanted;
  for (uint digit = TWO_WORDS ? 0 : 4; wanted < end - begin && digit < 12; digit++) {
    for (uint i = thread_index; i < 256; i += threads) atomic_store_explicit(&bins[i], 0, memory_order_relaxed);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint i = begin + thread_index; i < end; i += threads) {
      uint index = i;
      if (FROM_LIST) index = list[list_row + i];
      if (index == NONE) continue;
      const Rank r = rank_of(x, row, index);
      if (same_before(r, least, digit)) atomic_fetch_add_explicit(&bins[digit_of(r, digit)], 1, memory_order_relaxed);
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (group == 0) {
      // Eight digits per lane, from the highest on.
      uint counts[8], sum = 0;
      for (uint i = 0; i < 8; i++) {
        counts[i] = atomic_load_explicit(&bins[255 - lane * 8 - i], memory_order_relaxed);
        sum += counts[i];
      }
      uint before = simd_prefix_exclusive_sum(sum);
      if (before < left && left <= before + sum) {
        uint i = 0;
        for (; before + counts[i] < left; i++) before += counts[i];
        found_digit = 255 - lane * 8 - i;
        found_left = left - before;
        found_count = counts[i];
      }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    least.words[digit / 4] |= found_digit << (24 - digit % 4 * 8);
    left = found_left;
    if (found_left == found_count) break;
  }

  if (thread_index == 0) atomic_store_explicit(&filled, 0, memory_order_relaxed);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint i = begin + thread_index; i < end; i += threads) {
    uint index = i;
    if (FROM_LIST) index = list[list_row + i];
    if (index == NONE) continue;
    const Rank r = rank_of(x, row, index);
    if (!above(least, r)) chosen[atomic_fetch_add_explicit(&filled, 1, memory_order_relaxed)] = r;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint c = thread_index; c < args.k; c += threads) {
    if (!TO_RESULT) {
      uint index = NONE;
      if (c < wanted) index = ~chosen[c].words[2];
      indices[(ulong(place.x) * args.parts + place.y) * args.k + c] = index;
      continue;
    }
    const Rank own = chosen[c];
    uint position = 0;
    for (uint i = 0; i < args.k; i++) position += above(chosen[i], own) ? 1 : 0;
    const ulong to = ulong(place.x) * args.k + position;
    indices[to] = ~own.words[2];
    move_unit(values, to, x, row + ~own.words[2], UNIT);
  }
}
