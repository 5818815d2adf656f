// SSE4.2, the x86-64 baseline. Included by simd.h only.
#pragma once
#include <nmmintrin.h>

namespace rlx {
namespace RLX_ISA {

constexpr size_t kLanes = 4;
constexpr size_t kRegisters = 16;
constexpr int kDotBias = 128;
struct vf { __m128 v; };
struct vi { __m128i v; };
struct vmask { __m128i v; };

RLX_INLINE vf set1(float x) { return {_mm_set1_ps(x)}; }
RLX_INLINE vi set1i(int32_t x) { return {_mm_set1_epi32(x)}; }
RLX_INLINE vf load(const float* p) { return {_mm_loadu_ps(p)}; }
RLX_INLINE vf load_n(const float* p, size_t n) {
  float t[kLanes] = {};
  memcpy(t, p, n * sizeof *t);
  return load(t);
}
RLX_INLINE void store(float* p, vf x) { _mm_storeu_ps(p, x.v); }
RLX_INLINE void store_n(float* p, vf x, size_t n) {
  float t[kLanes];
  store(t, x);
  memcpy(p, t, n * sizeof *t);
}
RLX_INLINE vi loadi(const void* p) { return {_mm_loadu_si128(static_cast<const __m128i*>(p))}; }
RLX_INLINE vi loadi_n(const int32_t* p, size_t n) {
  int32_t t[kLanes] = {};
  memcpy(t, p, n * sizeof *t);
  return loadi(t);
}
RLX_INLINE void storei(void* p, vi x) { _mm_storeu_si128(static_cast<__m128i*>(p), x.v); }
RLX_INLINE void storei_n(int32_t* p, vi x, size_t n) {
  int32_t t[kLanes];
  storei(t, x);
  memcpy(p, t, n * sizeof *t);
}

RLX_INLINE vf operator+(vf a, vf b) { return {_mm_add_ps(a.v, b.v)}; }
RLX_INLINE vf operator-(vf a, vf b) { return {_mm_sub_ps(a.v, b.v)}; }
RLX_INLINE vf operator*(vf a, vf b) { return {_mm_mul_ps(a.v, b.v)}; }
RLX_INLINE vf operator/(vf a, vf b) { return {_mm_div_ps(a.v, b.v)}; }
RLX_INLINE vf fma(vf a, vf b, vf c) { return {_mm_add_ps(_mm_mul_ps(a.v, b.v), c.v)}; }
RLX_INLINE vf min(vf a, vf b) { return {_mm_min_ps(a.v, b.v)}; }
RLX_INLINE vf max(vf a, vf b) { return {_mm_max_ps(a.v, b.v)}; }
RLX_INLINE vf sqrt(vf a) { return {_mm_sqrt_ps(a.v)}; }
RLX_INLINE vf abs(vf a) { return {_mm_andnot_ps(_mm_set1_ps(-0.0f), a.v)}; }
RLX_INLINE vf round_even(vf a) { return {_mm_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
RLX_INLINE vf floor(vf a) { return {_mm_floor_ps(a.v)}; }

RLX_INLINE vi operator+(vi a, vi b) { return {_mm_add_epi32(a.v, b.v)}; }
RLX_INLINE vi operator-(vi a, vi b) { return {_mm_sub_epi32(a.v, b.v)}; }
RLX_INLINE vi operator*(vi a, vi b) { return {_mm_mullo_epi32(a.v, b.v)}; }
RLX_INLINE vi operator&(vi a, vi b) { return {_mm_and_si128(a.v, b.v)}; }
RLX_INLINE vi operator|(vi a, vi b) { return {_mm_or_si128(a.v, b.v)}; }
RLX_INLINE vi operator^(vi a, vi b) { return {_mm_xor_si128(a.v, b.v)}; }
template <int N> RLX_INLINE vi shl(vi a) { return {_mm_slli_epi32(a.v, N)}; }
template <int N> RLX_INLINE vi shr(vi a) { return {_mm_srli_epi32(a.v, N)}; }
template <int N> RLX_INLINE vi sar(vi a) { return {_mm_srai_epi32(a.v, N)}; }

RLX_INLINE vi bits(vf a) { return {_mm_castps_si128(a.v)}; }
RLX_INLINE vf from_bits(vi a) { return {_mm_castsi128_ps(a.v)}; }
RLX_INLINE vf to_float(vi a) { return {_mm_cvtepi32_ps(a.v)}; }
RLX_INLINE vi to_int(vf a) { return {_mm_cvtps_epi32(a.v)}; }
RLX_INLINE vi to_int_trunc(vf a) { return {_mm_cvttps_epi32(a.v)}; }

RLX_INLINE vmask lt(vf a, vf b) { return {_mm_castps_si128(_mm_cmplt_ps(a.v, b.v))}; }
RLX_INLINE vmask le(vf a, vf b) { return {_mm_castps_si128(_mm_cmple_ps(a.v, b.v))}; }
RLX_INLINE vmask eq(vf a, vf b) { return {_mm_castps_si128(_mm_cmpeq_ps(a.v, b.v))}; }
RLX_INLINE vmask lt(vi a, vi b) { return {_mm_cmplt_epi32(a.v, b.v)}; }
RLX_INLINE vmask eq(vi a, vi b) { return {_mm_cmpeq_epi32(a.v, b.v)}; }
RLX_INLINE vf select(vmask m, vf a, vf b) { return {_mm_blendv_ps(b.v, a.v, _mm_castsi128_ps(m.v))}; }
RLX_INLINE vi select(vmask m, vi a, vi b) { return {_mm_blendv_epi8(b.v, a.v, m.v)}; }

template <int N> RLX_INLINE vf swap(vf a) { return {_mm_shuffle_ps(a.v, a.v, N == 1 ? 0xb1 : 0x4e)}; }

RLX_INLINE vi load_u16(const uint16_t* p) { return {_mm_cvtepu16_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)))}; }
RLX_INLINE vi load_u16_n(const uint16_t* p, size_t n) {
  uint16_t t[kLanes] = {};
  memcpy(t, p, n * sizeof *t);
  return load_u16(t);
}
RLX_INLINE void store_u16(uint16_t* p, vi x) { _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packus_epi32(x.v, x.v)); }
RLX_INLINE void store_u16_n(uint16_t* p, vi x, size_t n) {
  uint16_t t[kLanes];
  store_u16(t, x);
  memcpy(p, t, n * sizeof *t);
}
RLX_INLINE __m128i load_four(const void* p) {
  int32_t four;
  memcpy(&four, p, 4);
  return _mm_cvtsi32_si128(four);
}
RLX_INLINE vi load_s8(const void* p) { return {_mm_cvtepi8_epi32(load_four(p))}; }
RLX_INLINE vi load_u8(const void* p) { return {_mm_cvtepu8_epi32(load_four(p))}; }
RLX_INLINE void store_s8(int8_t* p, vi x) {
  const __m128i h = _mm_packs_epi32(x.v, x.v);
  const int32_t b = _mm_cvtsi128_si32(_mm_packs_epi16(h, h));
  memcpy(p, &b, sizeof b);
}

RLX_INLINE float reduce_add(vf a) {
  const __m128 t = _mm_add_ps(a.v, _mm_movehl_ps(a.v, a.v));
  return _mm_cvtss_f32(_mm_add_ss(t, _mm_shuffle_ps(t, t, 1)));
}
RLX_INLINE int32_t reduce_addi(vi a) {
  const __m128i t = _mm_add_epi32(a.v, _mm_shuffle_epi32(a.v, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(t, _mm_shuffle_epi32(t, 0xb1)));
}
RLX_INLINE float reduce_max(vf a) {
  const __m128 t = _mm_max_ps(a.v, _mm_movehl_ps(a.v, a.v));
  return _mm_cvtss_f32(_mm_max_ss(t, _mm_shuffle_ps(t, t, 1)));
}
RLX_INLINE void reduce_add4(vf a, vf b, vf c, vf d, float* out) {
  const __m128 ab = _mm_add_ps(_mm_unpacklo_ps(a.v, b.v), _mm_unpackhi_ps(a.v, b.v));
  const __m128 cd = _mm_add_ps(_mm_unpacklo_ps(c.v, d.v), _mm_unpackhi_ps(c.v, d.v));
  _mm_storeu_ps(out, _mm_add_ps(_mm_shuffle_ps(ab, cd, 0x44), _mm_shuffle_ps(ab, cd, 0xee)));
}

RLX_INLINE vi dot4(vi acc, vi w, vi x) {
  const __m128i even = _mm_madd_epi16(_mm_and_si128(w.v, _mm_set1_epi16(255)), _mm_srai_epi16(_mm_slli_epi16(x.v, 8), 8));
  const __m128i odd = _mm_madd_epi16(_mm_srli_epi16(w.v, 8), _mm_srai_epi16(x.v, 8));
  return {_mm_add_epi32(acc.v, _mm_add_epi32(even, odd))};
}

} // namespace RLX_ISA
} // namespace rlx
