#include "blocks.h"

#include <float.h>
#include <string.h>

#include "convert.h"
#include "simd.h"

namespace rlx {
namespace RLX_BASE {
namespace {

inline double half_at(const uint8_t* p) {
  uint16_t bits;
  memcpy(&bits, p, 2);
  return static_cast<double>(half_to_f32(bits));
}

// f16 d, 32 x i8: x = d q
void decode_q8_0(const uint8_t* p, float* out) {
  const double d = half_at(p);
  for (int i = 0; i < 32; i++) out[i] = static_cast<float>(d * static_cast<int8_t>(p[2 + i]));
}

// f16 d, 16 bytes: low nibble element i, high nibble element i + 16: x = d (q - 8)
void decode_q4_0(const uint8_t* p, float* out) {
  const double d = half_at(p);
  for (int i = 0; i < 16; i++) {
    out[i] = static_cast<float>(d * ((p[2 + i] & 15) - 8));
    out[i + 16] = static_cast<float>(d * ((p[2 + i] >> 4) - 8));
  }
}

// Scale and minimum of sub-block j from the 12 packed bytes of q4_k and q5_k.
inline void scale_min(const uint8_t* s, int j, int& scale, int& min) {
  scale = j < 4 ? s[j] & 63 : (s[j + 4] & 15) | ((s[j - 4] >> 6) << 4);
  min = j < 4 ? s[j + 4] & 63 : (s[j + 4] >> 4) | ((s[j] >> 6) << 4);
}

// f16 d, f16 dmin, 12 bytes of 6-bit (scale, min), [32 bytes of fifth bits], 128 bytes of nibbles: x = d sc q - dmin m
template <bool Fifth>
void decode_k(const uint8_t* p, float* out) {
  const double d = half_at(p), dmin = half_at(p + 2);
  const uint8_t *high = p + 16, *low = p + (Fifth ? 48 : 16);
  for (int j = 0; j < 8; j++) {
    int sc, m;
    scale_min(p + 4, j, sc, m);
    for (int i = 0; i < 32; i++) {
      const int byte = low[(j >> 1) * 32 + i];
      const int q = (j & 1 ? byte >> 4 : byte & 15) + (Fifth ? (high[i] >> j & 1) * 16 : 0);
      out[j * 32 + i] = static_cast<float>(d * sc * q - dmin * m);
    }
  }
}

// 128 bytes low nibbles, 64 bytes high bit pairs, 16 signed scales, f16 d: x = d sc (q - 32)
void decode_q6_k(const uint8_t* p, float* out) {
  const double d = half_at(p + 208);
  for (int h = 0; h < 2; h++)
    for (int i = 0; i < 32; i++) {
      const int lo = p[h * 64 + i], hi = p[h * 64 + 32 + i], bits = p[128 + h * 32 + i];
      const int q[4] = {(lo & 15) | ((bits & 3) << 4), (hi & 15) | (((bits >> 2) & 3) << 4), (lo >> 4) | (((bits >> 4) & 3) << 4),
                        (hi >> 4) | ((bits >> 6) << 4)};
      for (int k = 0; k < 4; k++) {
        const int sc = static_cast<int8_t>(p[192 + h * 8 + (i >> 4) + 2 * k]);
        out[h * 128 + k * 32 + i] = static_cast<float>(d * sc * (q[k] - 32));
      }
    }
}

}  // namespace

size_t block_elements(int32_t dtype) { return dtype < RLX_Q8_0 ? 0 : dtype <= RLX_Q4_0 ? 32 : 256; }
size_t block_bytes(int32_t dtype) {
  constexpr size_t bytes[] = {34, 18, 144, 176, 210};
  return dtype < RLX_Q8_0 ? 0 : bytes[dtype - RLX_Q8_0];
}

void decode_block(int32_t dtype, const uint8_t* block, float* out) {
  switch (dtype) {
    case RLX_Q8_0: return decode_q8_0(block, out);
    case RLX_Q4_0: return decode_q4_0(block, out);
    case RLX_Q4_K: return decode_k<false>(block, out);
    case RLX_Q5_K: return decode_k<true>(block, out);
    default: return decode_q6_k(block, out);
  }
}

void encode_q8_0(const float* x, uint8_t* block) {
  constexpr size_t kVectors = 32 / kLanes;
  const vf nothing = set1(0.0f), half = set1(0.5f);
  vf peak = nothing, zero = nothing;
  RLX_UNROLL
  for (size_t i = 0; i < kVectors; i++) {
    const vf v = load(x + i * kLanes);
    peak = max(peak, abs(v));
    zero = zero + v * nothing;  // NaN for a NaN and for an infinity
  }
  const bool finite = reduce_add(zero) == 0;
  const float d = reduce_max(peak) / 127.0f, inverse = 1.0f / d;
  uint16_t bits = 0x7e00;
  if (finite) store_f16_n(&bits, set1(d), 1);
  memcpy(block, &bits, 2);
  if (!finite || inverse > FLT_MAX) {
    memset(block + 2, 0, 32);
    return;
  }
  RLX_UNROLL
  for (size_t i = 0; i < kVectors; i++) {
    const vf v = load(x + i * kLanes) * set1(inverse);
    // Ties away from zero: of what is left behind the point, and not by adding a half, which may round up.
    const vi whole = to_int_trunc(v);
    const vf rest = v - to_float(whole);
    const vi up = select(le(half, rest), set1i(1), set1i(0)), down = select(le(rest, nothing - half), set1i(1), set1i(0));
    store_s8(reinterpret_cast<int8_t*>(block + 2 + i * kLanes), whole + up - down);
  }
}

}  // namespace RLX_BASE
}  // namespace rlx
