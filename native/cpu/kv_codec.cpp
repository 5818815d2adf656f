#include "kv_codec.h"

#include <string.h>

#include "hadamard.h"
#include "kv_decode.h"
#include "kv_tables.h"

namespace rlx {
namespace RLX_BASE {

// Finds cells without a search: a value falls into one of equal steps, none of which has more than one boundary in it. Values and boundaries
// are put into steps by the same monotonic arithmetic, so the one comparison that is left decides exactly.
struct CellFinder {
  struct Step {
    float boundary;  // in this step, or infinite
    uint32_t below;  // boundaries in earlier steps
  };
  static constexpr int kMostSteps = 1024;
  float scale, offset, last;
  Step steps[kMostSteps];

  explicit CellFinder(const Codebook& book) {
    const int boundaries = (1 << book.bits) - 1, count = 4 << book.bits;
    last = static_cast<float>(count - 1);
    scale = static_cast<float>(count / 2 - 1) / book.boundaries[boundaries - 1];
    offset = static_cast<float>(count / 2);
    int next = 0;
    for (int k = 0; k < count; k++) {
      steps[k] = {INFINITY, static_cast<uint32_t>(next)};
      for (; next < boundaries && step_of(book.boundaries[next]) == k; next++) steps[k].boundary = book.boundaries[next];
    }
  }
  int step_of(float u) const {
    int32_t lanes[kLanes];
    storei(lanes, steps_of(set1(u)));
    return lanes[0];
  }
  vi steps_of(vf u) const { return to_int_trunc(min(max(u * set1(scale) + set1(offset), set1(0.0f)), set1(last))); }
};

namespace {

constexpr int kCodecs = static_cast<int>(sizeof kCodebooks / sizeof *kCodebooks);
constexpr int kWidths = static_cast<int>(sizeof *kCodebooks / sizeof **kCodebooks);

const CellFinder* finder(int id, int bits_index) {
  struct All {
    CellFinder of[kCodecs][kWidths] = {
        {CellFinder(kCodebooks[0][0]), CellFinder(kCodebooks[0][1]), CellFinder(kCodebooks[0][2]), CellFinder(kCodebooks[0][3])},
        {CellFinder(kCodebooks[1][0]), CellFinder(kCodebooks[1][1]), CellFinder(kCodebooks[1][2]), CellFinder(kCodebooks[1][3])},
    };
  };
  static const All all;
  return &all.of[id][bits_index];
}

// Sum of squares: each lane adds its contiguous part of the block in order, then lanes are paired at distance 1, 2, 4, ...
float sum_of_squares(const float* x, size_t n, size_t lanes) {
  float squares[kMostCodecDim], sums[32];
  for (size_t j = 0; j < n; j += 8)
    for (size_t i = j; i < j + 8; i++) squares[i] = x[i] * x[i];
  const size_t part = n / lanes;
  for (size_t l = 0; l < lanes; l += 8) {
    float sum[8] = {};
    const float* from = squares + l * part;
    for (size_t t = 0; t < part; t++)
      RLX_UNROLL
      for (size_t i = 0; i < 8; i++) sum[i] += from[i * part + t];
    memcpy(sums + l, sum, sizeof sum);
  }
  for (size_t h = 1; h < lanes; h *= 2)
    for (size_t l = 0; l < lanes; l += 2 * h) sums[l] += sums[l + h];
  return sums[0];
}

// Codes of x[n] times gain, a byte each.
void find_cells(const CellFinder& f, const float* x, size_t n, float gain, uint8_t* codes) {
  float u[kMostCodecDim];
  int32_t step[kMostCodecDim];
  size_t j = 0;
  for (; j + kLanes <= n; j += kLanes) {
    const vf v = load(x + j) * set1(gain);
    store(u + j, v);
    storei(step + j, f.steps_of(v));
  }
  if (j < n) {
    const vf v = load_n(x + j, n - j) * set1(gain);
    store_n(u + j, v, n - j);
    storei_n(step + j, f.steps_of(v), n - j);
  }
  for (j = 0; j < n; j++) {
    const CellFinder::Step& s = f.steps[step[j]];
    codes[j] = static_cast<uint8_t>(s.below + (u[j] > s.boundary));
  }
}

// Codes of n values, a byte each, as fields of W bits. Neighbours are joined three times: eight codes become W bytes.
template <int W> void pack(const uint8_t* codes, size_t n, uint8_t* packed) {
  constexpr int kGap = 8 - W;
  for (size_t g = 0; g < n / 8; g++) {
    uint64_t x;
    memcpy(&x, codes + 8 * g, sizeof x);
    x = (x & 0x00ff00ff00ff00ffu) | (x & 0xff00ff00ff00ff00u) >> kGap;
    x = (x & 0x0000ffff0000ffffu) | (x & 0xffff0000ffff0000u) >> 2 * kGap;
    x = (x & 0x00000000ffffffffu) | (x & 0xffffffff00000000u) >> 4 * kGap;
    memcpy(packed + W * g, &x, W);
  }
}

}  // namespace

bool kv_codec(double param, size_t dim, KvCodec* codec) {
  const int number = param > 0 && param < 64 ? static_cast<int>(param) : 0;
  const int id = number / 16, bits = number % 16;
  if (id >= kCodecs || dim % 8 != 0 || dim < 16 || dim > kMostCodecDim || !is_hadamard(dim) || (id == 0 && dim % 256 != 0))
    return false;
  for (int i = 0; i < kWidths; i++) {
    const Codebook& book = kCodebooks[id][i];
    if (book.bits != bits) continue;
    const bool wide = id == 0 && dim == 256;
    codec->dim = dim;
    codec->bits = bits;
    codec->width = id == 0 && bits != 4 ? 8 : bits;
    codec->packed_bytes = dim * static_cast<size_t>(codec->width) / 8;
    codec->norms = (dim + 255) / 256;
    codec->block = dim / codec->norms;
    codec->norm_lanes = wide ? 32 : dim % 16 == 0 ? 16 : 8;
    codec->norm_scale = wide ? 16.0f : 1.0f;
    codec->centroids = book.centroids;
    codec->cells = finder(id, i);
    return true;
  }
  return false;
}

void kv_encode(const KvCodec& codec, const float* x, uint8_t* packed, float* norms) {
  float v[kMostCodecDim];
  uint8_t codes[kMostCodecDim];
  memcpy(v, x, codec.dim * sizeof *x);
  fwht(v, codec.dim, Signs::before);
  for (size_t b = 0; b < codec.norms; b++) {
    const float* block = v + b * codec.block;
    const float sum = sum_of_squares(block, codec.block, codec.norm_lanes);
    const float norm = sqrtf(codec.norm_scale == 1.0f ? sum / static_cast<float>(codec.block) : sum);
    if (norm - norm != 0.0f) {  // infinite or NaN
      const uint32_t quiet = 0x7fc00000u;
      memcpy(norms + b, &quiet, sizeof quiet);
      memset(codes + b * codec.block, 0, codec.block);
      continue;
    }
    norms[b] = norm;
    const float gain = static_cast<double>(norm) <= 1e-10 ? 0.0f : 1.0f / norm * codec.norm_scale;
    find_cells(*codec.cells, block, codec.block, gain, codes + b * codec.block);
  }
  switch (codec.width) {
    case 4: return pack<4>(codes, codec.dim, packed);
    case 5: return pack<5>(codes, codec.dim, packed);
    case 6: return pack<6>(codes, codec.dim, packed);
    default: memcpy(packed, codes, codec.dim);
  }
}

void kv_decode_rows(const KvCodec& codec, const uint8_t* packed, size_t packed_stride, const float* norms, size_t norm_stride, size_t count, float* out,
                    size_t out_stride) {
  with_centroids(codec, [&](const auto& centroids) {
    for (size_t r = 0; r < count; r++) {
      const uint8_t* row = packed + r * packed_stride;
      float* to = out + r * out_stride;
      for (size_t b = 0; b < codec.norms; b++) {
        const vf scale = set1(norms[r * norm_stride + b] / codec.norm_scale);
        const size_t end = (b + 1) * codec.block;
        size_t j = b * codec.block;
        for (; j + kLanes <= end; j += kLanes) store(to + j, centroids_at(centroids, row, j, kLanes) * scale);
        if (j < end) store_n(to + j, centroids_at(centroids, row, j, end - j) * scale, end - j);
      }
    }
  });
}

}  // namespace RLX_BASE
}  // namespace rlx
