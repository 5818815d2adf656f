// AVX-512 F/BW/VL/DQ, with VNNI where the compiler is told so. Included by simd.h only.
#pragma once
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized" // GCC 12's own header, in _mm512_undefined_*()
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#define RLX_SIMD_HALF
#define RLX_SIMD_LOOKUP
#define RLX_SIMD_REDUCE

namespace rlx {
namespace RLX_ISA {

constexpr size_t kLanes = 16;
constexpr size_t kRegisters = 32;
constexpr int kDotBias = 128;
struct vf { __m512 v; };
struct vi { __m512i v; };
struct vmask { __mmask16 v; };

RLX_INLINE __mmask16 first(size_t n) { return static_cast<__mmask16>((1u << n) - 1u); }
RLX_INLINE vf set1(float x) { return {_mm512_set1_ps(x)}; }
RLX_INLINE vi set1i(int32_t x) { return {_mm512_set1_epi32(x)}; }
RLX_INLINE vf load(const float* p) { return {_mm512_loadu_ps(p)}; }
RLX_INLINE vf load_n(const float* p, size_t n) { return {_mm512_maskz_loadu_ps(first(n), p)}; }
RLX_INLINE void store(float* p, vf x) { _mm512_storeu_ps(p, x.v); }
RLX_INLINE void store_n(float* p, vf x, size_t n) { _mm512_mask_storeu_ps(p, first(n), x.v); }
RLX_INLINE vi loadi(const void* p) { return {_mm512_loadu_si512(p)}; }
RLX_INLINE vi loadi_n(const int32_t* p, size_t n) { return {_mm512_maskz_loadu_epi32(first(n), p)}; }
RLX_INLINE void storei(void* p, vi x) { _mm512_storeu_si512(p, x.v); }
RLX_INLINE void storei_n(int32_t* p, vi x, size_t n) { _mm512_mask_storeu_epi32(p, first(n), x.v); }

RLX_INLINE vf operator+(vf a, vf b) { return {_mm512_add_ps(a.v, b.v)}; }
RLX_INLINE vf operator-(vf a, vf b) { return {_mm512_sub_ps(a.v, b.v)}; }
RLX_INLINE vf operator*(vf a, vf b) { return {_mm512_mul_ps(a.v, b.v)}; }
RLX_INLINE vf operator/(vf a, vf b) { return {_mm512_div_ps(a.v, b.v)}; }
RLX_INLINE vf fma(vf a, vf b, vf c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
RLX_INLINE vf min(vf a, vf b) { return {_mm512_min_ps(a.v, b.v)}; }
RLX_INLINE vf max(vf a, vf b) { return {_mm512_max_ps(a.v, b.v)}; }
RLX_INLINE vf sqrt(vf a) { return {_mm512_sqrt_ps(a.v)}; }
RLX_INLINE vf abs(vf a) { return {_mm512_abs_ps(a.v)}; }
RLX_INLINE vf round_even(vf a) { return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
RLX_INLINE vf floor(vf a) { return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC)}; }

RLX_INLINE vi operator+(vi a, vi b) { return {_mm512_add_epi32(a.v, b.v)}; }
RLX_INLINE vi operator-(vi a, vi b) { return {_mm512_sub_epi32(a.v, b.v)}; }
RLX_INLINE vi operator*(vi a, vi b) { return {_mm512_mullo_epi32(a.v, b.v)}; }
RLX_INLINE vi operator&(vi a, vi b) { return {_mm512_and_si512(a.v, b.v)}; }
RLX_INLINE vi operator|(vi a, vi b) { return {_mm512_or_si512(a.v, b.v)}; }
RLX_INLINE vi operator^(vi a, vi b) { return {_mm512_xor_si512(a.v, b.v)}; }
template <int N> RLX_INLINE vi shl(vi a) { return {_mm512_slli_epi32(a.v, N)}; }
template <int N> RLX_INLINE vi shr(vi a) { return {_mm512_srli_epi32(a.v, N)}; }
template <int N> RLX_INLINE vi sar(vi a) { return {_mm512_srai_epi32(a.v, N)}; }

RLX_INLINE vi bits(vf a) { return {_mm512_castps_si512(a.v)}; }
RLX_INLINE vf from_bits(vi a) { return {_mm512_castsi512_ps(a.v)}; }
RLX_INLINE vf to_float(vi a) { return {_mm512_cvtepi32_ps(a.v)}; }
RLX_INLINE vi to_int(vf a) { return {_mm512_cvtps_epi32(a.v)}; }
RLX_INLINE vi to_int_trunc(vf a) { return {_mm512_cvttps_epi32(a.v)}; }

RLX_INLINE vmask lt(vf a, vf b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)}; }
RLX_INLINE vmask le(vf a, vf b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LE_OQ)}; }
RLX_INLINE vmask eq(vf a, vf b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_EQ_OQ)}; }
RLX_INLINE vmask lt(vi a, vi b) { return {_mm512_cmplt_epi32_mask(a.v, b.v)}; }
RLX_INLINE vmask eq(vi a, vi b) { return {_mm512_cmpeq_epi32_mask(a.v, b.v)}; }
RLX_INLINE vf select(vmask m, vf a, vf b) { return {_mm512_mask_blend_ps(m.v, b.v, a.v)}; }
RLX_INLINE vi select(vmask m, vi a, vi b) { return {_mm512_mask_blend_epi32(m.v, b.v, a.v)}; }

template <int N> RLX_INLINE vf swap(vf a) {
  if (N == 1) return {_mm512_permute_ps(a.v, 0xb1)};
  if (N == 2) return {_mm512_permute_ps(a.v, 0x4e)};
  if (N == 4) return {_mm512_shuffle_f32x4(a.v, a.v, 0xb1)};
  return {_mm512_shuffle_f32x4(a.v, a.v, 0x4e)};
}
// Each lane gets the two bytes that its field may lie in.
template <int W> RLX_INLINE vi load_bits(const uint8_t* p, size_t i, size_t n) {
  const __m128i x = _mm_maskz_loadu_epi8(static_cast<__mmask16>((1u << (n * W / 8)) - 1u), p + i / 8 * W);
  if (W == 8) return {_mm512_cvtepu8_epi32(x)};
#define RLX_BYTES(k) (static_cast<int>(0x80800000u) | ((k) * W / 8 + 1) << 8 | (k) * W / 8)
  const __m512i bytes = _mm512_setr_epi32(RLX_BYTES(0), RLX_BYTES(1), RLX_BYTES(2), RLX_BYTES(3), RLX_BYTES(4), RLX_BYTES(5), RLX_BYTES(6), RLX_BYTES(7),
                                          RLX_BYTES(8), RLX_BYTES(9), RLX_BYTES(10), RLX_BYTES(11), RLX_BYTES(12), RLX_BYTES(13), RLX_BYTES(14), RLX_BYTES(15));
#undef RLX_BYTES
  const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i shift = _mm512_and_si512(_mm512_mullo_epi32(lane, _mm512_set1_epi32(W)), _mm512_set1_epi32(7));
  return {_mm512_srlv_epi32(_mm512_shuffle_epi8(_mm512_broadcast_i32x4(x), bytes), shift)};
}
RLX_INLINE vf gather(const float* p, vi i) { return {_mm512_i32gather_ps(i.v, p, 4)}; }
RLX_INLINE vf lookup(vf t, vi i) { return {_mm512_permutexvar_ps(i.v, t.v)}; }
RLX_INLINE vf lookup2(vf low, vf high, vi i) { return {_mm512_permutex2var_ps(low.v, i.v, high.v)}; }

RLX_INLINE vf load_f16(const uint16_t* p) { return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))}; }
RLX_INLINE vf load_f16_n(const uint16_t* p, size_t n) { return {_mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first(n), p))}; }
RLX_INLINE void store_f16(uint16_t* p, vf x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
RLX_INLINE void store_f16_n(uint16_t* p, vf x, size_t n) {
  _mm256_mask_storeu_epi16(p, first(n), _mm512_cvtps_ph(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
RLX_INLINE vi load_u16(const uint16_t* p) { return {_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))}; }
RLX_INLINE vi load_u16_n(const uint16_t* p, size_t n) { return {_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(first(n), p))}; }
RLX_INLINE void store_u16(uint16_t* p, vi x) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(x.v)); }
RLX_INLINE void store_u16_n(uint16_t* p, vi x, size_t n) { _mm512_mask_cvtepi32_storeu_epi16(p, first(n), x.v); }
RLX_INLINE vf set1_f16(uint16_t h) { return {_mm512_cvtph_ps(_mm256_set1_epi16(static_cast<int16_t>(h)))}; }
RLX_INLINE vi load_s8(const void* p) { return {_mm512_cvtepi8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p)))}; }
RLX_INLINE vi load_u8(const void* p) { return {_mm512_cvtepu8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p)))}; }
RLX_INLINE void store_s8(int8_t* p, vi x) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(x.v)); }

RLX_INLINE __m128 fold16(__m512 x) {
  const __m256 h = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
  return _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
}
RLX_INLINE float reduce_add(vf a) {
  const __m512 t = _mm512_add_ps(a.v, _mm512_permute_ps(a.v, 0x4e));
  return _mm_cvtss_f32(fold16(_mm512_add_ps(t, _mm512_permute_ps(t, 0xb1))));
}
RLX_INLINE int32_t reduce_addi(vi a) { return _mm512_reduce_add_epi32(a.v); }
RLX_INLINE float reduce_max(vf a) { return _mm512_reduce_max_ps(a.v); }
RLX_INLINE void reduce_add4(vf a, vf b, vf c, vf d, float* out) {
  const __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(a.v, b.v), _mm512_unpackhi_ps(a.v, b.v));
  const __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(c.v, d.v), _mm512_unpackhi_ps(c.v, d.v));
  const __m512 abcd = _mm512_add_ps(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xee));
  _mm_storeu_ps(out, fold16(abcd));
}

RLX_INLINE __m512 fold4(const vf* x) {
  const __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(x[0].v, x[1].v), _mm512_unpackhi_ps(x[0].v, x[1].v));
  const __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(x[2].v, x[3].v), _mm512_unpackhi_ps(x[2].v, x[3].v));
  return _mm512_add_ps(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xee));
}
RLX_INLINE __m512 fold_halves(__m512 a, __m512 b) { return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee)); }
RLX_INLINE void reduce_add4x4(const vf* x, float* out, size_t stride) {
  const __m512 ab = fold_halves(fold4(x), fold4(x + 4));
  const __m512 cd = fold_halves(fold4(x + 8), fold4(x + 12));
  const __m512 all = _mm512_add_ps(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xdd));
  _mm_storeu_ps(out, _mm512_castps512_ps128(all));
  _mm_storeu_ps(out + stride, _mm512_extractf32x4_ps(all, 1));
  _mm_storeu_ps(out + 2 * stride, _mm512_extractf32x4_ps(all, 2));
  _mm_storeu_ps(out + 3 * stride, _mm512_extractf32x4_ps(all, 3));
}

RLX_INLINE vi dot4(vi acc, vi w, vi x) {
#ifdef __AVX512VNNI__
  return {_mm512_dpbusd_epi32(acc.v, w.v, x.v)};
#else
  const __m512i even = _mm512_madd_epi16(_mm512_and_si512(w.v, _mm512_set1_epi16(255)), _mm512_srai_epi16(_mm512_slli_epi16(x.v, 8), 8));
  const __m512i odd = _mm512_madd_epi16(_mm512_srli_epi16(w.v, 8), _mm512_srai_epi16(x.v, 8));
  return {_mm512_add_epi32(acc.v, _mm512_add_epi32(even, odd))};
#endif
}

} // namespace RLX_ISA
} // namespace rlx
