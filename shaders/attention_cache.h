// Vectors of a cache, four values at a time, in each of its formats.
#pragma once
#include "attention.h"
#include "kv_codec.h"
#include "quads.h"

// The vectors of one key head: of keys or of values. What it is made of but for pointers and `first` are function constants.
struct Side {
  device const uchar *data;
  device const float *norms;
  threadgroup const float *centroids;
  ulong first;  // number of the vector in slot 0
  uint type, dim, bytes;  // bytes of a vector
  bool coded, in_quads;
  KvCodec codec;
};
inline Side side_of(uint type, uint codec, uint dim, bool in_quads, device const uchar *data, device const float *norms,
                    threadgroup const float *centroids, ulong first) {
  Side s;
  s.data = data;
  s.norms = norms;
  s.centroids = centroids;
  s.first = first;
  s.type = type;
  s.dim = dim;
  s.coded = codec != 0;
  s.in_quads = in_quads;
  s.codec = kv_codec(codec, dim);
  s.bytes = s.coded ? s.codec.packed_bytes : type == Q8_0 ? (dim + 31) / 32 * 34 : dim * (type == F32 ? 4 : 2);
  return s;
}

// Number of the vector in slot 0 of a key head.
inline ulong first_vector(constant AttentionArgs &args, uint sequence, uint kv_head) {
  return HEAD_MAJOR ? (ulong(sequence) * KV_HEADS + kv_head) * args.capacity : ulong(sequence) * args.capacity * KV_HEADS + kv_head;
}
// The table of a codec, near by: lanes look up different codes.
inline void load_centroids(threadgroup float *to, uint codec, Team team) {
  if (codec == 0) return;
  for (uint i = team.index; i < 1u << codec % 16; i += team.threads) to[i] = centroids_of(codec)[i];
}

// A vector: where it lies, and what its codes are multiplied by in each half.
struct Vector {
  device const uchar *data;
  float2 scales;
};
inline Vector vector_in(Side s, uint slot) {
  const ulong at = s.first + ulong(slot) * (HEAD_MAJOR ? 1 : KV_HEADS);
  Vector x;
  x.data = s.data + at * s.bytes;
  x.scales = s.coded ? float2(s.norms[at * s.codec.norms], s.norms[(at + 1) * s.codec.norms - 1]) / s.codec.norm_scale : float2(1);
  return x;
}

inline float4 load_codes(Side s, Vector x, uint quad) {
  const uint width = s.codec.width, bit = quad * 4 * width;
  device const uchar *p = x.data + bit / 8;
  uint bits = uint(p[0]) | uint(p[1]) << 8;
  if (width > 4) bits |= uint(p[2]) << 16;
  if (width > 6) bits |= uint(p[3]) << 24;
  bits >>= bit % 8;
  const uint last = (1u << s.codec.bits) - 1;
  const float4 c = float4(s.centroids[bits & last], s.centroids[bits >> width & last], s.centroids[bits >> 2 * width & last],
                          s.centroids[bits >> 3 * width & last]);
  return c * (quad * 4 < s.codec.block ? x.scales.x : x.scales.y);
}

// Values [4 * quad, 4 * quad + 4) of a vector, zeros behind its end. Codes give values in the rotated domain.
inline float4 quad_of(Side s, Vector x, uint quad) {
  if (s.coded) return load_codes(s, x, quad);
  if (s.type == Q8_0) {
    device const uchar *block = x.data + quad / 8 * 34;
    const char4 codes = char4(*(device const packed_char4 *)(block + 2 + quad % 8 * 4));
    return float4(codes) * float(*(device const half *)block);
  }
  return load_quad(x.data, s.type, s.in_quads, quad * 4, s.dim, 0);
}
