#include <metal_stdlib>
using namespace metal;

// One value per thread and function of the standard library; the tests know what they have to be.

kernel void integers(device uint *out [[buffer(0)]]) {
  device uint *o = out;
  *o++ = clz(1u);
  *o++ = ctz(ushort(8));
  *o++ = popcount(0xf0f0u);
  *o++ = reverse_bits(1u);
  *o++ = rotate(0x80000001u, 4u);
  *o++ = addsat(0xfffffff0u, 0x20u);
  *o++ = as_type<uint>(addsat(INT_MIN, -1));
  *o++ = subsat(3u, 5u);
  *o++ = mulhi(0x80000000u, 6u);
  *o++ = extract_bits(0xabcd1234u, 8u, 8u);
  *o++ = as_type<uint>(extract_bits(-16, 2u, 4u));
  *o++ = insert_bits(0u, 0xffu, 4u, 8u);
  *o++ = hadd(0xffffffffu, 0xfffffffdu);
  *o++ = rhadd(1u, 2u);
  *o++ = absdiff(3u, 10u);
  *o++ = max3(1u, 9u, 4u);
  *o++ = clamp(50u, 1u, 20u);
  *o++ = uint(uchar4(as_type<uchar4>(0x04030201u)).z);
}

kernel void vectors(device float *out [[buffer(0)]]) {
  float4 v = float4(1, 2, 3, 4);
  device float *o = out;
  *o++ = v.zyx[0];
  v.xy = v.yx;
  *o++ = v.x;
  *o++ = v.y;
  v.wz += float2(10, 20);
  *o++ = v.z;
  *o++ = v[3];
  *o++ = dot(float3(1, 2, 3), float3(4, 5, 6));
  *o++ = length(float2(3, 4));
  *o++ = cross(float3(1, 0, 0), float3(0, 1, 0)).z;
  *o++ = float4(half4(1, 2, 3, 4)).w;
  *o++ = float3(float2(7, 8), 9).z;
  *o++ = all(v > 0) ? 1 : 0;
  *o++ = select(float2(1, 2), float2(3, 4), bool2(false, true)).y;
  *o++ = sizeof(float3) + sizeof(packed_float3) / 100.0f;
  *o++ = (float2x2(float2(1, 2), float2(3, 4)) * float2(1, 1)).y;
  *o++ = clamp(float2(-5, 5), 0.0f, 1.0f).y;
  *o++ = float(int4(float4(1.9f, -1.9f, 0, 0)).y);
}

// Every operation on half and bfloat rounds.
kernel void roundings(device const float *x [[buffer(0)]],
                      device half *halves [[buffer(1)]],
                      device bfloat *bfloats [[buffer(2)]],
                      uint i [[thread_position_in_grid]]) {
  halves[i] = half(x[i]) * half(3) + half(0.1f);
  bfloats[i] = bfloat(x[i]) * bfloat(3) + 0.1bf;
}

// Per lane: sums so far, votes, neighbours.
kernel void lanes(device uint *out [[buffer(0)]], uint lane [[thread_index_in_simdgroup]], uint count [[threads_per_grid]]) {
  device uint *o = out + lane;
  o[0 * 32] = simd_prefix_inclusive_sum(lane);
  o[1 * 32] = simd_prefix_exclusive_sum(lane);
  o[2 * 32] = simd_shuffle_up(lane, 3);
  o[3 * 32] = simd_shuffle_down(lane, 3);
  o[4 * 32] = simd_shuffle_rotate_up(lane, 3);
  o[5 * 32] = simd_shuffle_rotate_down(lane, 3);
  o[6 * 32] = uint(ulong(simd_ballot(lane % 3 == 0)));
  o[7 * 32] = quad_sum(lane);
  o[8 * 32] = quad_broadcast(lane, 2);
  o[9 * 32] = simd_any(lane == 31) && !simd_all(lane < 31);
  o[10 * 32] = simd_broadcast_first(lane + 5) + (simd_is_first() ? 100 : 0);
  o[11 * 32] = simd_min(lane + 2) + simd_xor(lane) + simd_or(lane) + count;
}
