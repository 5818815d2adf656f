// arm64 NEON, with the dot product extension where the compiler is told so. Included by simd.h only.
#pragma once
#include <arm_neon.h>
#define RLX_SIMD_HALF

namespace rlx {
namespace RLX_ISA {

constexpr size_t kLanes = 4;
constexpr size_t kRegisters = 32;
constexpr int kDotBias = 0;
struct vf { float32x4_t v; };
struct vi { int32x4_t v; };
struct vmask { uint32x4_t v; };

RLX_INLINE vf set1(float x) { return {vdupq_n_f32(x)}; }
RLX_INLINE vi set1i(int32_t x) { return {vdupq_n_s32(x)}; }
RLX_INLINE vf load(const float* p) { return {vld1q_f32(p)}; }
RLX_INLINE vf load_n(const float* p, size_t n) {
  float t[kLanes] = {};
  memcpy(t, p, n * sizeof *t);
  return load(t);
}
RLX_INLINE void store(float* p, vf x) { vst1q_f32(p, x.v); }
RLX_INLINE void store_n(float* p, vf x, size_t n) {
  float t[kLanes];
  store(t, x);
  memcpy(p, t, n * sizeof *t);
}
RLX_INLINE vi loadi(const void* p) { return {vreinterpretq_s32_u8(vld1q_u8(static_cast<const uint8_t*>(p)))}; }
RLX_INLINE vi loadi_n(const int32_t* p, size_t n) {
  int32_t t[kLanes] = {};
  memcpy(t, p, n * sizeof *t);
  return loadi(t);
}
RLX_INLINE void storei(void* p, vi x) { vst1q_u8(static_cast<uint8_t*>(p), vreinterpretq_u8_s32(x.v)); }
RLX_INLINE void storei_n(int32_t* p, vi x, size_t n) {
  int32_t t[kLanes];
  storei(t, x);
  memcpy(p, t, n * sizeof *t);
}

RLX_INLINE vf operator+(vf a, vf b) { return {vaddq_f32(a.v, b.v)}; }
RLX_INLINE vf operator-(vf a, vf b) { return {vsubq_f32(a.v, b.v)}; }
RLX_INLINE vf operator*(vf a, vf b) { return {vmulq_f32(a.v, b.v)}; }
RLX_INLINE vf operator/(vf a, vf b) { return {vdivq_f32(a.v, b.v)}; }
RLX_INLINE vf fma(vf a, vf b, vf c) { return {vfmaq_f32(c.v, a.v, b.v)}; }
RLX_INLINE vf min(vf a, vf b) { return {vminq_f32(a.v, b.v)}; }
RLX_INLINE vf max(vf a, vf b) { return {vmaxq_f32(a.v, b.v)}; }
RLX_INLINE vf sqrt(vf a) { return {vsqrtq_f32(a.v)}; }
RLX_INLINE vf abs(vf a) { return {vabsq_f32(a.v)}; }
RLX_INLINE vf round_even(vf a) { return {vrndnq_f32(a.v)}; }
RLX_INLINE vf floor(vf a) { return {vrndmq_f32(a.v)}; }

RLX_INLINE vi operator+(vi a, vi b) { return {vaddq_s32(a.v, b.v)}; }
RLX_INLINE vi operator-(vi a, vi b) { return {vsubq_s32(a.v, b.v)}; }
RLX_INLINE vi operator*(vi a, vi b) { return {vmulq_s32(a.v, b.v)}; }
RLX_INLINE vi operator&(vi a, vi b) { return {vandq_s32(a.v, b.v)}; }
RLX_INLINE vi operator|(vi a, vi b) { return {vorrq_s32(a.v, b.v)}; }
RLX_INLINE vi operator^(vi a, vi b) { return {veorq_s32(a.v, b.v)}; }
template <int N> RLX_INLINE vi shl(vi a) { return {vshlq_n_s32(a.v, N)}; }
template <int N> RLX_INLINE vi shr(vi a) { return {vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_s32(a.v), N))}; }
template <int N> RLX_INLINE vi sar(vi a) { return {vshrq_n_s32(a.v, N)}; }

RLX_INLINE vi bits(vf a) { return {vreinterpretq_s32_f32(a.v)}; }
RLX_INLINE vf from_bits(vi a) { return {vreinterpretq_f32_s32(a.v)}; }
RLX_INLINE vf to_float(vi a) { return {vcvtq_f32_s32(a.v)}; }
RLX_INLINE vi to_int(vf a) { return {vcvtnq_s32_f32(a.v)}; }
RLX_INLINE vi to_int_trunc(vf a) { return {vcvtq_s32_f32(a.v)}; }

RLX_INLINE vmask lt(vf a, vf b) { return {vcltq_f32(a.v, b.v)}; }
RLX_INLINE vmask le(vf a, vf b) { return {vcleq_f32(a.v, b.v)}; }
RLX_INLINE vmask eq(vf a, vf b) { return {vceqq_f32(a.v, b.v)}; }
RLX_INLINE vmask lt(vi a, vi b) { return {vcltq_s32(a.v, b.v)}; }
RLX_INLINE vmask eq(vi a, vi b) { return {vceqq_s32(a.v, b.v)}; }
RLX_INLINE vf select(vmask m, vf a, vf b) { return {vbslq_f32(m.v, a.v, b.v)}; }
RLX_INLINE vi select(vmask m, vi a, vi b) { return {vbslq_s32(m.v, a.v, b.v)}; }

template <int N> RLX_INLINE vf swap(vf a) { return {N == 1 ? vrev64q_f32(a.v) : vextq_f32(a.v, a.v, 2)}; }

RLX_INLINE uint16x4_t load_half_n(const uint16_t* p, size_t n) {
  uint16_t t[kLanes] = {};
  memcpy(t, p, n * sizeof *t);
  return vld1_u16(t);
}
RLX_INLINE void store_half_n(uint16_t* p, uint16x4_t x, size_t n) {
  uint16_t t[kLanes];
  vst1_u16(t, x);
  memcpy(p, t, n * sizeof *t);
}
RLX_INLINE uint16x4_t to_half(vf x) { return vreinterpret_u16_f16(vcvt_f16_f32(x.v)); }
RLX_INLINE vf load_f16(const uint16_t* p) { return {vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)))}; }
RLX_INLINE vf load_f16_n(const uint16_t* p, size_t n) { return {vcvt_f32_f16(vreinterpret_f16_u16(load_half_n(p, n)))}; }
RLX_INLINE void store_f16(uint16_t* p, vf x) { vst1_u16(p, to_half(x)); }
RLX_INLINE void store_f16_n(uint16_t* p, vf x, size_t n) { store_half_n(p, to_half(x), n); }
RLX_INLINE vi load_u16(const uint16_t* p) { return {vreinterpretq_s32_u32(vmovl_u16(vld1_u16(p)))}; }
RLX_INLINE vi load_u16_n(const uint16_t* p, size_t n) { return {vreinterpretq_s32_u32(vmovl_u16(load_half_n(p, n)))}; }
RLX_INLINE uint16x4_t narrow(vi x) { return vmovn_u32(vreinterpretq_u32_s32(x.v)); }
RLX_INLINE void store_u16(uint16_t* p, vi x) { vst1_u16(p, narrow(x)); }
RLX_INLINE void store_u16_n(uint16_t* p, vi x, size_t n) { store_half_n(p, narrow(x), n); }
RLX_INLINE vf set1_f16(uint16_t h) { return {vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(h)))}; }
RLX_INLINE vi load_s8(const void* p) {
  int32_t four;
  memcpy(&four, p, 4);
  return {vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(four)))))};
}
RLX_INLINE vi load_u8(const void* p) {
  int32_t four;
  memcpy(&four, p, 4);
  return {vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(vmovl_u8(vreinterpret_u8_s32(vdup_n_s32(four))))))};
}
RLX_INLINE void store_s8(int8_t* p, vi x) {
  const int16x4_t h = vmovn_s32(x.v);
  const int8x8_t b = vmovn_s16(vcombine_s16(h, h));
  memcpy(p, &b, 4);
}

RLX_INLINE float reduce_add(vf a) {
  const float32x2_t t = vadd_f32(vget_low_f32(a.v), vget_high_f32(a.v));
  return vget_lane_f32(vpadd_f32(t, t), 0);
}
RLX_INLINE int32_t reduce_addi(vi a) { return vaddvq_s32(a.v); }
RLX_INLINE float reduce_max(vf a) { return vmaxvq_f32(a.v); }
RLX_INLINE void reduce_add4(vf a, vf b, vf c, vf d, float* out) {
  const float32x4_t ab = vaddq_f32(vzip1q_f32(a.v, b.v), vzip2q_f32(a.v, b.v));
  const float32x4_t cd = vaddq_f32(vzip1q_f32(c.v, d.v), vzip2q_f32(c.v, d.v));
  vst1q_f32(out, vaddq_f32(vcombine_f32(vget_low_f32(ab), vget_low_f32(cd)), vcombine_f32(vget_high_f32(ab), vget_high_f32(cd))));
}

RLX_INLINE vi dot4(vi acc, vi w, vi x) {
  const int8x16_t a = vreinterpretq_s8_s32(w.v);
  const int8x16_t b = vreinterpretq_s8_s32(x.v);
#ifdef __ARM_FEATURE_DOTPROD
  return {vdotq_s32(acc.v, a, b)};
#else
  const int32x4_t low = vpaddlq_s16(vmull_s8(vget_low_s8(a), vget_low_s8(b)));
  const int32x4_t high = vpaddlq_s16(vmull_high_s8(a, b));
  return {vaddq_s32(acc.v, vpaddq_s32(low, high))};
#endif
}

} // namespace RLX_ISA
} // namespace rlx
