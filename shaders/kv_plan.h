// Where a write into KV caches goes, and what does not fit: packages/ir/src/ops/kv-plan.ts for kernels. Every simdgroup looks at the whole plan before it
// writes anything, so all of them come to the same decision without waiting for each other.
#pragma once
#include "kv_common.h"

constant bool RING [[function_constant(0)]];
constant bool TRIM [[function_constant(1)]];
constant uint POS_TYPE [[function_constant(2)]];
constant bool HAS_SLOTS [[function_constant(3)]];
constant uint SLOTS_TYPE [[function_constant(4)]];
constant bool HAS_TOKENS [[function_constant(5)]];
constant uint TOKENS_TYPE [[function_constant(6)]];
constant bool HAS_OFFSET [[function_constant(7)]];
constant uint OFFSET_TYPE [[function_constant(8)]];

// What is wrong, with the values that packages/backend-metal/src/kernels/kv-plan.ts makes words of; `+ CACHE_STEP` for the second cache.
enum KvFault : uint { KV_OFFSET = 1, KV_TOKENS, KV_CAPACITY, KV_SLOTS, KV_SLOT_TWICE, KV_TOO_MANY, KV_POSITION, KV_OVERLAP, KV_TOO_LONG };
constant uint CACHE_STEP = 16;

struct KvPlan {
  uint rows, tokens;                              // sequences of the source, and tokens of each
  uint pos_stride, tokens_stride, offset_stride;  // 0: one for all sequences
  uint overlap;                                   // 0, or what shares memory with what
};
struct KvCache {
  uint sequences, capacity, heads, dim;
};
// Operands that say where tokens go; pos, tokens and offset one for all sequences or one each, slots one each.
struct KvPlaces {
  device const uchar *pos, *slots, *tokens, *offset;
};
// What happens to a sequence of the source: `count` tokens from `token` on go to a sequence of the cache, to slots from `slot` on, which
// continue at 0 behind the last.
struct KvRow {
  uint sequence, token, slot, count;
};
struct KvRefusal {
  uint code;  // 0: none
  long a, b, c;
};

inline long kv_offset(KvPlaces p, constant KvPlan &plan, uint row) {
  return HAS_OFFSET ? load_int(p.offset, OFFSET_TYPE, row * plan.offset_stride) : 0;
}
// The default is not 0 for an offset outside of the source, whatever it is, for the difference wraps.
inline long kv_tokens(KvPlaces p, constant KvPlan &plan, uint row, long offset) {
  return HAS_TOKENS ? load_int(p.tokens, TOKENS_TYPE, row * plan.tokens_stride) : long(ulong(plan.tokens) - ulong(offset));
}
inline long kv_pos(KvPlaces p, constant KvPlan &plan, uint row) { return load_int(p.pos, POS_TYPE, row * plan.pos_stride); }
inline long kv_sequence(KvPlaces p, uint row) { return HAS_SLOTS ? load_int(p.slots, SLOTS_TYPE, row) : long(row); }

// A sequence of zero tokens is left alone, whatever its position.
inline KvRefusal kv_check(KvPlaces p, constant KvPlan &plan, constant KvCache &cache, uint row, thread bool &any) {
  const long have = plan.tokens, capacity = cache.capacity;
  const long offset = kv_offset(p, plan, row), tokens = kv_tokens(p, plan, row, offset);
  if (tokens == 0 || cache.heads == 0 || cache.dim == 0) return {};
  any = true;
  if (offset < 0 || offset > have) return {KV_OFFSET, packed_pair(row, plan.tokens), offset};
  if (tokens < 0 || tokens > have - offset) return {KV_TOKENS, packed_pair(row, plan.tokens), offset, tokens};
  if (capacity == 0) return {KV_CAPACITY, tokens};
  const long sequence = kv_sequence(p, row);
  if (sequence < 0 || sequence >= long(cache.sequences)) return {KV_SLOTS, packed_pair(row, cache.sequences), sequence};
  for (uint other = 0; HAS_SLOTS && other < row; ++other)
    if (kv_sequence(p, other) == sequence && kv_tokens(p, plan, other, kv_offset(p, plan, other)) != 0)
      return {KV_SLOT_TWICE, packed_pair(row, other), sequence};
  if (tokens > capacity && !TRIM) return {KV_TOO_MANY, packed_pair(row, cache.capacity), tokens};
  const long pos = kv_pos(p, plan, row), last = RING ? MAX_POSITION - tokens : capacity - tokens;
  if (pos < 0 || pos > last) return {KV_POSITION, packed_pair(row, cache.capacity), tokens, pos};
  return {};
}

// Whether everything fits into all caches and no earlier step was refused; all lanes of a simdgroup ask. One simdgroup of a launch is the
// `reporter`: it says what is wrong with the first sequence of the first cache that something is wrong with.
inline bool kv_fits(KvPlaces p, constant KvPlan &plan, constant KvCache *caches, uint count, device Status *status, uint slot, uint lane, bool reporter) {
  const bool stop = refused(status);
  if (simd_any(stop)) return false;
  uint wrong = 0xffffffffu;
  KvRefusal refusal = {};
  bool any = false;
  for (uint i = lane; i < count * plan.rows && wrong == 0xffffffffu; i += 32) {
    const uint cache = i < plan.rows ? 0 : 1;
    refusal = kv_check(p, plan, caches[cache], i - cache * plan.rows, any);
    if (refusal.code == 0) continue;
    refusal.code += cache * CACHE_STEP;
    wrong = i;
  }
  const uint first = simd_min(wrong);
  const bool overlaps = plan.overlap != 0 && simd_any(any);
  if (first == 0xffffffffu && !overlaps) return true;
  if (reporter && first == 0xffffffffu && lane == 0) report(status, slot, KV_OVERLAP, plan.overlap);
  if (reporter && first != 0xffffffffu && first == wrong) report(status, slot, refusal.code, refusal.a, refusal.b, refusal.c);
  return false;
}

inline uint kv_slot(ulong position, uint capacity) {
  return position >> 32 == 0 ? uint(position) % capacity : uint(position % ulong(capacity));  // 64-bit division is slow
}

// One sequence of a plan that fits.
inline KvRow kv_row(KvPlaces p, constant KvPlan &plan, constant KvCache &cache, uint row) {
  const long offset = kv_offset(p, plan, row);
  const long tokens = kv_tokens(p, plan, row, offset);
  if (tokens == 0) return {};
  const uint dropped = tokens > long(cache.capacity) ? uint(tokens) - cache.capacity : 0;
  return {uint(kv_sequence(p, row)), uint(offset) + dropped, kv_slot(ulong(kv_pos(p, plan, row)) + dropped, cache.capacity), uint(tokens) - dropped};
}

// Vector of a head at a slot, in [sequences, slots, heads] or [sequences, heads, slots].
inline uint vector_at(bool head_major, uint heads, uint slots, uint sequence, uint slot, uint head) {
  return head_major ? (sequence * heads + head) * slots + slot : (sequence * slots + slot) * heads + head;
}

// Where vector `from` of a source goes in its cache; false: nowhere, its token is not among those that are written.
inline bool kv_target(KvPlaces p, constant KvPlan &plan, constant KvCache &cache, bool head_major, bool x_head_major, uint from, thread uint &to) {
  const uint fast = x_head_major ? plan.tokens : cache.heads, slow = x_head_major ? cache.heads : plan.tokens;
  const uint inner = from % fast, rest = from / fast;
  const uint outer = rest % slow, row = rest / slow;
  const uint token = x_head_major ? inner : outer, head = x_head_major ? outer : inner;
  const KvRow r = kv_row(p, plan, cache, row);
  const uint i = token - r.token;  // wraps to more than any count for what comes before
  if (i >= r.count) return false;
  const uint slot = r.slot + i < cache.capacity ? r.slot + i : r.slot + i - cache.capacity;
  to = vector_at(head_major, cache.heads, cache.capacity, r.sequence, slot, head);
  return true;
}
