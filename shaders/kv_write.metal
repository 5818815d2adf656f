// Tokens into KV caches, in place and in the cache's dtype; keys turn on their way where there are angles.
#include "kv_plan.h"
#include "quads.h"
#include "rope.h"

constant bool HEAD_MAJOR [[function_constant(9)]];
constant bool X_HEAD_MAJOR [[function_constant(10)]];
constant bool HAS_V [[function_constant(11)]];
// Of K, then of V: dtypes, and what a thread moves: bytes where the dtypes agree, else values.
constant uint K_TYPE [[function_constant(12)]];
constant uint K_CACHE_TYPE [[function_constant(13)]];
constant uint K_UNIT [[function_constant(14)]];
constant uint V_TYPE [[function_constant(15)]];
constant uint V_CACHE_TYPE [[function_constant(16)]];
constant uint V_UNIT [[function_constant(17)]];
constant bool ROPE [[function_constant(18)]];
constant uint TABLE_TYPE [[function_constant(19)]];
constant bool INTERLEAVED [[function_constant(20)]];

struct KvWriteArgs {
  uint slot;
  KvPlan plan;
  KvCache caches[2];
  uint items[2];     // threads that a cache takes
  uint per_head[2];  // of them, for one vector
  RopeTable table;
};
struct Source {
  device const uchar *x;
  uint type;
  bool turns;
  Angles angles;
};

// A block of 32 values, one per lane, as ggml quantizes it: f16 d = max |x| / 127, codes round(x / d), ties away from zero. A block with a NaN or an
// infinity has the scale NaN and codes 0, and so have codes where 1 / d is infinite.
inline void store_q8_0(device uchar *block, float x, uint lane) {
  const bool finite = simd_all(isfinite(x));
  const float d = simd_max(finite ? abs(x) : 0.0f) / 127.0f, inverse = 1.0f / d;
  block[2 + lane] = uchar(finite && isfinite(inverse) ? char(round(x * inverse)) : char(0));
  if (lane == 0) *(device ushort *)block = finite ? as_type<ushort>(half(d)) : ushort(0x7e00);
}

// Value `part` of vector `from`, which has `dim` values.
inline float value_of(Source source, constant KvWriteArgs &args, uint heads, uint dim, uint from, uint part) {
  const ulong begin = ulong(from) * dim;
  if (!source.turns) return load_float(source.x, source.type, begin + part);
  return turned_value(source.x, source.type, begin, part, INTERLEAVED, source.angles, TABLE_TYPE, args.table, from / heads);
}

// Item `item` of a cache.
inline void write_item(constant KvWriteArgs &args, KvPlaces places, uint which, uint item, uint lane, device uchar *cache, Source source, uint cache_type,
                       uint unit) {
  if (item >= args.items[which]) return;
  constant KvCache &sizes = args.caches[which];
  const uint per_head = args.per_head[which], from = item / per_head, part = item % per_head, dim = sizes.dim;
  uint to;
  if (!kv_target(places, args.plan, sizes, HEAD_MAJOR, X_HEAD_MAJOR, from, to)) return;
  if (cache_type == Q8_0) {
    store_q8_0(cache + ulong(to * (per_head / 32) + part / 32) * 34, part < dim ? value_of(source, args, sizes.heads, dim, from, part) : 0.0f, lane);
  } else if (cache_type == source.type && !source.turns) {
    move_unit(cache, ulong(to) * per_head + part, source.x, ulong(from) * per_head + part, unit);
  } else if (unit == 4) {
    float4 four;
    if (!source.turns) four = load_quad(source.x, source.type, true, ulong(from) * dim + part * 4, 0, 0);
    else
      for (uint i = 0; i < 4; ++i) four[i] = value_of(source, args, sizes.heads, dim, from, part * 4 + i);
    store_quad(cache, cache_type, true, ulong(to) * dim + part * 4, 0, four);
  } else {
    store_float(cache, cache_type, ulong(to) * dim + part, value_of(source, args, sizes.heads, dim, from, part));
  }
}

// Threads along x, K and V along z. Items lie as the source does, so reads are contiguous.
kernel void kv_write(constant KvWriteArgs &args [[buffer(0)]], device uchar *k_cache [[buffer(1)]],
                     device uchar *v_cache [[buffer(2), function_constant(HAS_V)]], device const uchar *k [[buffer(3)]],
                     device const uchar *v [[buffer(4), function_constant(HAS_V)]], device const uchar *pos [[buffer(5)]],
                     device const uchar *slots [[buffer(6), function_constant(HAS_SLOTS)]],
                     device const uchar *tokens [[buffer(7), function_constant(HAS_TOKENS)]],
                     device const uchar *offset [[buffer(8), function_constant(HAS_OFFSET)]], device Status *status [[buffer(9)]],
                     device const uchar *cosines [[buffer(10), function_constant(ROPE)]], device const uchar *sines [[buffer(11), function_constant(ROPE)]],
                     uint3 group [[threadgroup_position_in_grid]], uint index [[thread_index_in_threadgroup]], uint3 size [[threads_per_threadgroup]],
                     uint lane [[thread_index_in_simdgroup]]) {
  const KvPlaces places = {pos, HAS_SLOTS ? slots : nullptr, HAS_TOKENS ? tokens : nullptr, HAS_OFFSET ? offset : nullptr};
  const bool reporter = group.x == 0 && group.z == 0 && index < 32;
  if (!kv_fits(places, args.plan, args.caches, HAS_V ? 2 : 1, status, args.slot, lane, reporter)) return;
  const uint item = group.x * size.x + index;
  const Angles angles = {ROPE ? cosines : nullptr, ROPE ? sines : nullptr};
  if (group.z == 0) write_item(args, places, 0, item, lane, k_cache, {k, K_TYPE, ROPE, angles}, K_CACHE_TYPE, K_UNIT);
  else if (HAS_V) write_item(args, places, 1, item, lane, v_cache, {v, V_TYPE, false, angles}, V_CACHE_TYPE, V_UNIT);
}
