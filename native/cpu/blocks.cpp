#include "blocks.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "convert.h"

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
  float peak = 0, zero = 0;
  for (int i = 0; i < 32; i++) {
    const float a = fabsf(x[i]);
    peak = a > peak ? a : peak;
    zero += x[i] * 0.0f;  // NaN for a NaN and for an infinity
  }
  const bool finite = zero == 0;
  const float d = peak / 127.0f, inverse = 1.0f / d;
  const float scale = finite && inverse <= FLT_MAX ? inverse : 0;
  uint16_t half = 0x7e00;
  if (finite) store_run(reinterpret_cast<uint8_t*>(&half), RLX_F16, 0, &d, 1);
  memcpy(block, &half, 2);
  for (int i = 0; i < 32; i++) {
    const float v = (finite ? x[i] : 0) * scale;
    const int whole = static_cast<int>(v);  // toward zero
    const float rest = v - static_cast<float>(whole);
    block[2 + i] = static_cast<uint8_t>(whole + (rest >= 0.5f) - (rest <= -0.5f));
  }
}

}  // namespace RLX_BASE
}  // namespace rlx
