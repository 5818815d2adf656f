// Codecs of KV vectors with the bits of packages/ir/src/kv-codec, one simdgroup a vector.
#pragma once
#include "hadamard.h"

// `number`: 16 times the codec's place, plus its bits; a function constant, and so is the dimension.
struct KvCodec {
  uint number, dim, bits;
  uint width;         // bits that a code takes in the stream of a vector, least significant first
  uint packed_bytes;  // of the codes of a vector
  uint norms, block;  // norms of a vector, and consecutive values that share one
  uint norm_lanes;    // partial sums of a norm
  float norm_scale;   // a value is its centroid times norm / norm_scale
};
inline KvCodec kv_codec(uint number, uint dim) {
  const bool v1 = number < 16, wide = v1 && dim == 256;
  KvCodec c;
  c.number = number;
  c.dim = dim;
  c.bits = number % 16;
  c.width = v1 && c.bits != 4 ? 8 : c.bits;
  c.packed_bytes = dim * c.width / 8;
  c.norms = (dim + 255) / 256;
  c.block = dim / c.norms;
  c.norm_lanes = wide ? 32 : dim % 16 == 0 ? 16 : 8;
  c.norm_scale = wide ? 16.0f : 1.0f;
  return c;
}

// How many boundaries are strictly below the value; 0 for NaN.
inline uint cell_of(KvCodec c, float value) {
  constant float *boundaries = boundaries_of(c.number);
  uint code = 0;
  for (uint step = 1u << (c.bits - 1); step > 0; step >>= 1)
    if (value > boundaries[code + step - 1]) code += step;
  return code;
}

// The squares of a block, added as `norm_lanes` contiguous parts in order, then parts in pairs at distance 1, 2, 4, ...; every lane of a block's parts has the
// sum.
inline float sum_of_squares(KvCodec c, threadgroup const float *row, uint lane) {
  const uint lanes = c.norm_lanes * c.norms, part = c.dim / lanes;
  float sum = 0;
  for (uint t = 0; lane < lanes && t < part; ++t) {
    const float x = row[lane * part + t];
    sum += x * x;
  }
  for (uint h = 1; h < c.norm_lanes; h *= 2) sum += simd_shuffle_xor(sum, ushort(h));
  return sum;
}

// The vector in v (lane l has value l + 32 * i in v[i]) into packed[packed_bytes] and norms[norms]; v is overwritten. `row`: dim values of threadgroup memory
// for this simdgroup alone. scale: f32(1 / sqrt(dim)).
inline void kv_encode(KvCodec c, thread float *v, float scale, device uchar *packed, device float *norms, uint lane, threadgroup float *row) {
  rotate_row(v, c.dim, true, false, scale, lane, row);
  UNROLL for (uint i = 0; i < REGISTERS; ++i)
    if (lane + 32 * i < c.dim) row[lane + 32 * i] = v[i];
  simdgroup_barrier(mem_flags::mem_threadgroup);
  const float sum = sum_of_squares(c, row, lane);
  const float norm = precise::sqrt(c.norm_scale == 1.0f ? sum / float(c.block) : sum);
  if (lane % c.norm_lanes == 0 && lane / c.norm_lanes < c.norms) norms[lane / c.norm_lanes] = isfinite(norm) ? norm : as_type<float>(0x7fc00000u);
  // The next f32 above 1e-10 is 1e-10f. A NaN in place of a gain gives codes 0.
  const float gain = !isfinite(norm) ? NAN : norm < 1e-10f ? 0.0f : 1.0f / norm * c.norm_scale;
  const float first = simd_shuffle(gain, ushort(0)), second = c.norms > 1 ? simd_shuffle(gain, ushort(c.norm_lanes)) : first;
  simdgroup_barrier(mem_flags::mem_threadgroup);  // the sums have been read
  threadgroup uchar *codes = (threadgroup uchar *)row;
  UNROLL for (uint i = 0; i < REGISTERS; ++i) {
    const uint j = lane + 32 * i;
    if (j < c.dim) codes[j] = uchar(cell_of(c, v[i] * (j < c.block ? first : second)));
  }
  simdgroup_barrier(mem_flags::mem_threadgroup);
  for (uint group = lane; group < c.dim / 8; group += 32) {  // eight codes are `width` bytes
    ulong stream = 0;
    for (uint i = 0; i < 8; ++i) stream |= ulong(codes[8 * group + i]) << (i * c.width);
    for (uint i = 0; i < c.width; ++i) packed[group * c.width + i] = uchar(stream >> (8 * i));
  }
}

// Value j of a vector whose codes begin at `packed`, in the rotated domain; scale: norm / norm_scale of its block.
inline float kv_decode(KvCodec c, device const uchar *packed, uint j, float scale) {
  const uint bit = j * c.width, shift = bit % 8;
  uint code = packed[bit / 8];
  if (shift + c.bits > 8) code |= uint(packed[bit / 8 + 1]) << 8;
  return centroids_of(c.number)[code >> shift & ((1u << c.bits) - 1)] * scale;
}
