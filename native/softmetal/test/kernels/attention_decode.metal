#include <metal_stdlib>
#include <metal_simdgroup>
using namespace metal;

struct AttentionParams {
  uint heads, kv_heads, kv_length, capacity, ring_start;
  float scale;
};

// Decode attention: one threadgroup per head, one simdgroup per stride of keys with an online softmax, merged through threadgroup memory.
template <typename KV, ushort D>
kernel void attention_decode(device const float *q [[buffer(0)]],
                             device const KV *keys [[buffer(1)]],
                             device const KV *values [[buffer(2)]],
                             device float *out [[buffer(3)]],
                             constant AttentionParams &p [[buffer(4)]],
                             uint head [[threadgroup_position_in_grid]],
                             ushort group [[simdgroup_index_in_threadgroup]],
                             ushort lane [[thread_index_in_simdgroup]],
                             ushort groups [[simdgroups_per_threadgroup]]) {
  constexpr ushort E = D / 32;
  threadgroup float group_max[8], group_sum[8], group_out[8 * D];
  const uint kv_head = head / (p.heads / p.kv_heads);
  float query[E], sums[E];
  for (ushort e = 0; e < E; ++e) {
    query[e] = q[head * D + e * 32 + lane] * p.scale;
    sums[e] = 0;
  }
  float top = -INFINITY, weight_sum = 0;
  for (uint t = group; t < p.kv_length; t += groups) {
    uint slot = (p.ring_start + t) % p.capacity;
    device const KV *k = keys + (kv_head * p.capacity + slot) * D;
    device const KV *v = values + (kv_head * p.capacity + slot) * D;
    float score = 0;
    for (ushort e = 0; e < E; ++e) score += query[e] * float(k[e * 32 + lane]);
    for (ushort x = 16; x > 0; x >>= 1) score += simd_shuffle_xor(score, x);
    float next = max(top, score), keep = exp(top - next), weight = exp(score - next);
    weight_sum = weight_sum * keep + weight;
    top = next;
    for (ushort e = 0; e < E; ++e) sums[e] = sums[e] * keep + weight * float(v[e * 32 + lane]);
  }
  if (lane == 0) {
    group_max[group] = top;
    group_sum[group] = weight_sum;
  }
  for (ushort e = 0; e < E; ++e) group_out[group * D + e * 32 + lane] = sums[e];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (group > 0) return;
  float own_max = lane < groups ? group_max[lane] : -INFINITY;
  float all_max = simd_max(own_max);
  float own_weight = lane < groups ? exp(own_max - all_max) : 0.0f;
  float all_sum = simd_sum(lane < groups ? group_sum[lane] * own_weight : 0.0f);
  for (ushort e = 0; e < E; ++e) {
    float sum = 0;
    for (ushort g = 0; g < groups; ++g) sum += group_out[g * D + e * 32 + lane] * simd_broadcast(own_weight, g);
    out[head * D + e * 32 + lane] = sum / all_sum;
  }
}

#define INSTANTIATE(NAME, KV, D)                                                                                                    \
  template [[host_name(NAME)]] kernel void attention_decode<KV, D>(device const float *, device const KV *, device const KV *,       \
                                                                   device float *, constant AttentionParams &, uint, ushort, ushort, ushort);
INSTANTIATE("attention_decode_f16_d64", half, 64)
INSTANTIATE("attention_decode_bf16_d64", bfloat, 64)
INSTANTIATE("attention_decode_f32_d128", float, 128)
