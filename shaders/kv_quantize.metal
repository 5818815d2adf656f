// Tokens into quantized KV caches, in place, and back. One simdgroup a vector: tokens, heads, K and V are one launch.
#include "kv_codec.h"
#include "kv_plan.h"

constant bool HEAD_MAJOR [[function_constant(9)]];
constant bool X_HEAD_MAJOR [[function_constant(10)]];
constant bool HAS_V [[function_constant(11)]];
constant uint K_TYPE [[function_constant(12)]];
constant uint K_CODEC [[function_constant(13)]];
constant uint K_DIM [[function_constant(14)]];
constant uint V_TYPE [[function_constant(15)]];
constant uint V_CODEC [[function_constant(16)]];
constant uint V_DIM [[function_constant(17)]];

struct KvQuantizeArgs {
  uint slot;
  KvPlan plan;
  KvCache caches[2];
  uint vectors[2];
  uint row;        // floats of threadgroup memory that a simdgroup has
  float scales[2];  // f32(1 / sqrt(dim))
};

inline void encode_vector(constant KvQuantizeArgs &args, KvPlaces places, uint which, KvCodec codec, uint vector, uint type, device const uchar *x,
                          device uchar *packed, device float *norms, uint lane, threadgroup float *row) {
  uint to;
  if (vector >= args.vectors[which] || !kv_target(places, args.plan, args.caches[which], HEAD_MAJOR, X_HEAD_MAJOR, vector, to)) return;
  float v[REGISTERS] = {};
  UNROLL for (uint i = 0; i < REGISTERS; ++i)
    if (lane + 32 * i < codec.dim) v[i] = load_float(x, type, ulong(vector) * codec.dim + lane + 32 * i);
  kv_encode(codec, v, args.scales[which], packed + ulong(to) * codec.packed_bytes, norms + ulong(to) * codec.norms, lane, row);
}

// Simdgroups along x, K and V along z.
kernel void kv_quantize(constant KvQuantizeArgs &args [[buffer(0)]], device uchar *k_packed [[buffer(1)]], device float *k_norms [[buffer(2)]],
                        device uchar *v_packed [[buffer(3), function_constant(HAS_V)]], device float *v_norms [[buffer(4), function_constant(HAS_V)]],
                        device const uchar *k [[buffer(5)]], device const uchar *v [[buffer(6), function_constant(HAS_V)]],
                        device const uchar *pos [[buffer(7)]], device const uchar *slots [[buffer(8), function_constant(HAS_SLOTS)]],
                        device const uchar *tokens [[buffer(9), function_constant(HAS_TOKENS)]],
                        device const uchar *offset [[buffer(10), function_constant(HAS_OFFSET)]], device Status *status [[buffer(11)]],
                        threadgroup float *memory [[threadgroup(0)]], uint3 group [[threadgroup_position_in_grid]],
                        uint simdgroup [[simdgroup_index_in_threadgroup]], uint simdgroups [[simdgroups_per_threadgroup]],
                        uint lane [[thread_index_in_simdgroup]]) {
  const KvPlaces places = {pos, HAS_SLOTS ? slots : nullptr, HAS_TOKENS ? tokens : nullptr, HAS_OFFSET ? offset : nullptr};
  const bool reporter = group.x == 0 && group.z == 0 && simdgroup == 0;
  if (!kv_fits(places, args.plan, args.caches, HAS_V ? 2 : 1, status, args.slot, lane, reporter)) return;
  const uint vector = group.x * simdgroups + simdgroup;
  threadgroup float *row = memory + simdgroup * args.row;
  if (group.z == 0) encode_vector(args, places, 0, kv_codec(K_CODEC, K_DIM), vector, K_TYPE, k, k_packed, k_norms, lane, row);
  else if (HAS_V) encode_vector(args, places, 1, kv_codec(V_CODEC, V_DIM), vector, V_TYPE, v, v_packed, v_norms, lane, row);
}

constant bool PLAIN [[function_constant(18)]];  // rotated back

struct KvDequantizeArgs {
  uint slot;
  KvPlan plan;
  KvCache cache;
  uint vectors;
  uint row;
  float scale;
};

kernel void kv_dequantize(constant KvDequantizeArgs &args [[buffer(0)]], device const uchar *packed [[buffer(1)]], device const float *norms [[buffer(2)]],
                          device float *out [[buffer(3)]], device const uchar *pos [[buffer(4)]], device Status *status [[buffer(5)]],
                          threadgroup float *memory [[threadgroup(0)]], uint group [[threadgroup_position_in_grid]],
                          uint simdgroup [[simdgroup_index_in_threadgroup]], uint simdgroups [[simdgroups_per_threadgroup]],
                          uint lane [[thread_index_in_simdgroup]]) {
  const KvPlaces places = {pos, nullptr, nullptr, nullptr};
  const bool reporter = group == 0 && simdgroup == 0;
  if (args.vectors > 0 && args.plan.tokens > args.cache.capacity) {
    if (reporter && lane == 0) report(status, args.slot, KV_TOO_LONG, args.cache.capacity, args.plan.tokens);
    return;
  }
  if (!kv_fits(places, args.plan, &args.cache, 1, status, args.slot, lane, reporter)) return;
  const uint vector = group * simdgroups + simdgroup;
  const KvCodec codec = kv_codec(K_CODEC, K_DIM);
  uint from;
  if (vector >= args.vectors || !kv_target(places, args.plan, args.cache, HEAD_MAJOR, false, vector, from)) return;
  const float first = norms[ulong(from) * codec.norms] / codec.norm_scale;
  const float second = codec.norms > 1 ? norms[ulong(from) * codec.norms + 1] / codec.norm_scale : first;
  float v[REGISTERS] = {};
  UNROLL for (uint i = 0; i < REGISTERS; ++i) {
    const uint j = lane + 32 * i;
    if (j < codec.dim) v[i] = kv_decode(codec, packed + ulong(from) * codec.packed_bytes, j, j < codec.block ? first : second);
  }
  if (PLAIN) rotate_row(v, codec.dim, false, true, args.scale, lane, memory + simdgroup * args.row);
  UNROLL for (uint i = 0; i < REGISTERS; ++i)
    if (lane + 32 * i < codec.dim) out[ulong(vector) * codec.dim + lane + 32 * i] = v[i];
}
