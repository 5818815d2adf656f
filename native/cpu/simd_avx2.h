// AVX2 + FMA + F16C. Included by simd.h only.
#pragma once
#include <immintrin.h>
#define RLX_SIMD_HALF
#define RLX_SIMD_LOOKUP

namespace rlx {
namespace RLX_ISA {

constexpr size_t kLanes = 8;
constexpr size_t kRegisters = 16;
constexpr int kDotBias = 128;
struct vf { __m256 v; };
struct vi { __m256i v; };
struct vmask { __m256i v; };

RLX_INLINE __m256i first(size_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
RLX_INLINE vf set1(float x) { return {_mm256_set1_ps(x)}; }
RLX_INLINE vi set1i(int32_t x) { return {_mm256_set1_epi32(x)}; }
RLX_INLINE vf load(const float* p) { return {_mm256_loadu_ps(p)}; }
RLX_INLINE vf load_n(const float* p, size_t n) { return {_mm256_maskload_ps(p, first(n))}; }
RLX_INLINE void store(float* p, vf x) { _mm256_storeu_ps(p, x.v); }
RLX_INLINE void store_n(float* p, vf x, size_t n) { _mm256_maskstore_ps(p, first(n), x.v); }
RLX_INLINE vi loadi(const void* p) { return {_mm256_loadu_si256(static_cast<const __m256i*>(p))}; }
RLX_INLINE vi loadi_n(const int32_t* p, size_t n) { return {_mm256_maskload_epi32(p, first(n))}; }
RLX_INLINE void storei(void* p, vi x) { _mm256_storeu_si256(static_cast<__m256i*>(p), x.v); }
RLX_INLINE void storei_n(int32_t* p, vi x, size_t n) { _mm256_maskstore_epi32(p, first(n), x.v); }

RLX_INLINE vf operator+(vf a, vf b) { return {_mm256_add_ps(a.v, b.v)}; }
RLX_INLINE vf operator-(vf a, vf b) { return {_mm256_sub_ps(a.v, b.v)}; }
RLX_INLINE vf operator*(vf a, vf b) { return {_mm256_mul_ps(a.v, b.v)}; }
RLX_INLINE vf operator/(vf a, vf b) { return {_mm256_div_ps(a.v, b.v)}; }
RLX_INLINE vf fma(vf a, vf b, vf c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
RLX_INLINE vf min(vf a, vf b) { return {_mm256_min_ps(a.v, b.v)}; }
RLX_INLINE vf max(vf a, vf b) { return {_mm256_max_ps(a.v, b.v)}; }
RLX_INLINE vf sqrt(vf a) { return {_mm256_sqrt_ps(a.v)}; }
RLX_INLINE vf abs(vf a) { return {_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.v)}; }
RLX_INLINE vf round_even(vf a) { return {_mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
RLX_INLINE vf floor(vf a) { return {_mm256_floor_ps(a.v)}; }

RLX_INLINE vi operator+(vi a, vi b) { return {_mm256_add_epi32(a.v, b.v)}; }
RLX_INLINE vi operator-(vi a, vi b) { return {_mm256_sub_epi32(a.v, b.v)}; }
RLX_INLINE vi operator*(vi a, vi b) { return {_mm256_mullo_epi32(a.v, b.v)}; }
RLX_INLINE vi operator&(vi a, vi b) { return {_mm256_and_si256(a.v, b.v)}; }
RLX_INLINE vi operator|(vi a, vi b) { return {_mm256_or_si256(a.v, b.v)}; }
RLX_INLINE vi operator^(vi a, vi b) { return {_mm256_xor_si256(a.v, b.v)}; }
template <int N> RLX_INLINE vi shl(vi a) { return {_mm256_slli_epi32(a.v, N)}; }
template <int N> RLX_INLINE vi shr(vi a) { return {_mm256_srli_epi32(a.v, N)}; }
template <int N> RLX_INLINE vi sar(vi a) { return {_mm256_srai_epi32(a.v, N)}; }

RLX_INLINE vi bits(vf a) { return {_mm256_castps_si256(a.v)}; }
RLX_INLINE vf from_bits(vi a) { return {_mm256_castsi256_ps(a.v)}; }
RLX_INLINE vf to_float(vi a) { return {_mm256_cvtepi32_ps(a.v)}; }
RLX_INLINE vi to_int(vf a) { return {_mm256_cvtps_epi32(a.v)}; }
RLX_INLINE vi to_int_trunc(vf a) { return {_mm256_cvttps_epi32(a.v)}; }

RLX_INLINE vmask lt(vf a, vf b) { return {_mm256_castps_si256(_mm256_cmp_ps(a.v, b.v, _CMP_LT_OQ))}; }
RLX_INLINE vmask le(vf a, vf b) { return {_mm256_castps_si256(_mm256_cmp_ps(a.v, b.v, _CMP_LE_OQ))}; }
RLX_INLINE vmask eq(vf a, vf b) { return {_mm256_castps_si256(_mm256_cmp_ps(a.v, b.v, _CMP_EQ_OQ))}; }
RLX_INLINE vmask lt(vi a, vi b) { return {_mm256_cmpgt_epi32(b.v, a.v)}; }
RLX_INLINE vmask eq(vi a, vi b) { return {_mm256_cmpeq_epi32(a.v, b.v)}; }
RLX_INLINE vf select(vmask m, vf a, vf b) { return {_mm256_blendv_ps(b.v, a.v, _mm256_castsi256_ps(m.v))}; }
RLX_INLINE vi select(vmask m, vi a, vi b) { return {_mm256_blendv_epi8(b.v, a.v, m.v)}; }

template <int N> RLX_INLINE vf swap(vf a) {
  if (N == 1) return {_mm256_permute_ps(a.v, 0xb1)};
  if (N == 2) return {_mm256_permute_ps(a.v, 0x4e)};
  return {_mm256_permute2f128_ps(a.v, a.v, 1)};
}
// Each lane gets the two bytes that its field may lie in.
template <int W> RLX_INLINE vi load_bits(const uint8_t* p, size_t i, size_t) {
  const int64_t x = static_cast<int64_t>(load_group<W>(p + i / 8 * W));
  if (W == 8) return {_mm256_cvtepu8_epi32(_mm_cvtsi64_si128(x))};
#define RLX_BYTES(k) (static_cast<int>(0x80800000u) | ((k) * W / 8 + 1) << 8 | (k) * W / 8)
  const __m256i bytes = _mm256_setr_epi32(RLX_BYTES(0), RLX_BYTES(1), RLX_BYTES(2), RLX_BYTES(3), RLX_BYTES(4), RLX_BYTES(5), RLX_BYTES(6), RLX_BYTES(7));
#undef RLX_BYTES
  const __m256i shift = _mm256_setr_epi32(0, W & 7, 2 * W & 7, 3 * W & 7, 4 * W & 7, 5 * W & 7, 6 * W & 7, 7 * W & 7);
  return {_mm256_srlv_epi32(_mm256_shuffle_epi8(_mm256_set1_epi64x(x), bytes), shift)};
}
RLX_INLINE vf gather(const float* p, vi i) { return {_mm256_i32gather_ps(p, i.v, 4)}; }
RLX_INLINE vf lookup(vf t, vi i) { return {_mm256_permutevar8x32_ps(t.v, i.v)}; }
RLX_INLINE vf lookup2(vf low, vf high, vi i) {
  return {_mm256_blendv_ps(lookup(low, i).v, lookup(high, i).v, _mm256_castsi256_ps(_mm256_slli_epi32(i.v, 28)))};
}

RLX_INLINE __m128i load_half(const uint16_t* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }
RLX_INLINE __m128i load_half_n(const uint16_t* p, size_t n) {
  uint16_t t[kLanes] = {};
  memcpy(t, p, n * sizeof *t);
  return load_half(t);
}
RLX_INLINE void store_half(uint16_t* p, __m128i x) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), x); }
RLX_INLINE void store_half_n(uint16_t* p, __m128i x, size_t n) {
  uint16_t t[kLanes];
  store_half(t, x);
  memcpy(p, t, n * sizeof *t);
}
RLX_INLINE __m128i to_half(vf x) { return _mm256_cvtps_ph(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
RLX_INLINE vf load_f16(const uint16_t* p) { return {_mm256_cvtph_ps(load_half(p))}; }
RLX_INLINE vf load_f16_n(const uint16_t* p, size_t n) { return {_mm256_cvtph_ps(load_half_n(p, n))}; }
RLX_INLINE void store_f16(uint16_t* p, vf x) { store_half(p, to_half(x)); }
RLX_INLINE void store_f16_n(uint16_t* p, vf x, size_t n) { store_half_n(p, to_half(x), n); }
RLX_INLINE vi load_u16(const uint16_t* p) { return {_mm256_cvtepu16_epi32(load_half(p))}; }
RLX_INLINE vi load_u16_n(const uint16_t* p, size_t n) { return {_mm256_cvtepu16_epi32(load_half_n(p, n))}; }
RLX_INLINE __m128i narrow(vi x) { return _mm_packus_epi32(_mm256_castsi256_si128(x.v), _mm256_extracti128_si256(x.v, 1)); }
RLX_INLINE void store_u16(uint16_t* p, vi x) { store_half(p, narrow(x)); }
RLX_INLINE void store_u16_n(uint16_t* p, vi x, size_t n) { store_half_n(p, narrow(x), n); }
RLX_INLINE vf set1_f16(uint16_t h) { return {_mm256_cvtph_ps(_mm_set1_epi16(static_cast<int16_t>(h)))}; }
RLX_INLINE vi load_s8(const void* p) { return {_mm256_cvtepi8_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(p)))}; }
RLX_INLINE vi load_u8(const void* p) { return {_mm256_cvtepu8_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(p)))}; }
RLX_INLINE void store_s8(int8_t* p, vi x) {
  const __m128i h = _mm_packs_epi32(_mm256_castsi256_si128(x.v), _mm256_extracti128_si256(x.v, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(h, h));
}

RLX_INLINE __m128 fold8(__m256 x) { return _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1)); }
RLX_INLINE float reduce_add(vf a) {
  const __m256 t = _mm256_add_ps(a.v, _mm256_permute_ps(a.v, 0x4e));
  return _mm_cvtss_f32(fold8(_mm256_add_ps(t, _mm256_permute_ps(t, 0xb1))));
}
RLX_INLINE int32_t reduce_addi(vi a) {
  const __m128i h = _mm_add_epi32(_mm256_castsi256_si128(a.v), _mm256_extracti128_si256(a.v, 1));
  const __m128i t = _mm_add_epi32(h, _mm_shuffle_epi32(h, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(t, _mm_shuffle_epi32(t, 0xb1)));
}
RLX_INLINE float reduce_max(vf a) {
  const __m128 h = _mm_max_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  const __m128 t = _mm_max_ps(h, _mm_movehl_ps(h, h));
  return _mm_cvtss_f32(_mm_max_ss(t, _mm_shuffle_ps(t, t, 1)));
}
RLX_INLINE void reduce_add4(vf a, vf b, vf c, vf d, float* out) {
  const __m256 ab = _mm256_add_ps(_mm256_unpacklo_ps(a.v, b.v), _mm256_unpackhi_ps(a.v, b.v));
  const __m256 cd = _mm256_add_ps(_mm256_unpacklo_ps(c.v, d.v), _mm256_unpackhi_ps(c.v, d.v));
  const __m256 abcd = _mm256_add_ps(_mm256_shuffle_ps(ab, cd, 0x44), _mm256_shuffle_ps(ab, cd, 0xee));
  _mm_storeu_ps(out, fold8(abcd));
}

// vpmaddubsw would saturate: even and odd bytes are multiplied as 16-bit values.
RLX_INLINE vi dot4(vi acc, vi w, vi x) {
  const __m256i even = _mm256_madd_epi16(_mm256_and_si256(w.v, _mm256_set1_epi16(255)), _mm256_srai_epi16(_mm256_slli_epi16(x.v, 8), 8));
  const __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(w.v, 8), _mm256_srai_epi16(x.v, 8));
  return {_mm256_add_epi32(acc.v, _mm256_add_epi32(even, odd))};
}

} // namespace RLX_ISA
} // namespace rlx
