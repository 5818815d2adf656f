// Codecs of KV vectors: packages/ir/src/kv-codec, with the bits of the reference.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace rlx {
namespace RLX_BASE {

constexpr size_t kMostCodecDim = 512;

struct CellFinder;
struct KvCodec {
  size_t dim;
  int bits, width;      // of a code; bits that it takes in the stream of a vector, least significant first
  size_t packed_bytes;  // of the codes of a vector
  size_t norms, block;  // norms of a vector, and consecutive values that share one
  size_t norm_lanes;
  float norm_scale;     // a value is its centroid times norm / norm_scale
  const float* centroids;
  const CellFinder* cells;
};

// The codec that a parameter of a step names (kvCodecParam of packages/backend-cpu/src/kernels/kv.ts) for vectors of dim values. False when
// there is none.
bool kv_codec(double param, size_t dim, KvCodec* codec);

// x[dim] into packed[packed_bytes] and norms[norms].
void kv_encode(const KvCodec& codec, const float* x, uint8_t* packed, float* norms);

// `count` vectors, in the rotated domain: scores against queries after fwht(Signs::before) are those of plain vectors, and fwht(Signs::after)
// rotates a weighted sum back. Vector i lies at packed + i * packed_stride (bytes) and norms + i * norm_stride (floats), and goes to out + i * out_stride.
void kv_decode_rows(const KvCodec& codec, const uint8_t* packed, size_t packed_stride, const float* norms, size_t norm_stride, size_t count, float* out,
                    size_t out_stride);

}  // namespace RLX_BASE
}  // namespace rlx
