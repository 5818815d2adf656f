// Plain C++: four lanes in arrays, for compilers and machines without one of the others. Included by simd.h only.
#pragma once

namespace rlx {
namespace RLX_ISA {

constexpr size_t kLanes = 4;
constexpr size_t kRegisters = 16;
constexpr int kDotBias = 128;
struct vf { float v[kLanes]; };
struct vi { int32_t v[kLanes]; };
struct vmask { bool v[kLanes]; };

// One expression per lane i; integer arithmetic wraps.
#define RLX_EACH(type, expression) \
  type r; \
  for (size_t i = 0; i < kLanes; i++) r.v[i] = expression; \
  return r

RLX_INLINE uint32_t u(int32_t x) { return static_cast<uint32_t>(x); }
RLX_INLINE int32_t s(uint32_t x) { return static_cast<int32_t>(x); }

RLX_INLINE vf set1(float x) { RLX_EACH(vf, x); }
RLX_INLINE vi set1i(int32_t x) { RLX_EACH(vi, x); }
RLX_INLINE vf load(const float* p) { RLX_EACH(vf, p[i]); }
RLX_INLINE vf load_n(const float* p, size_t n) { RLX_EACH(vf, i < n ? p[i] : 0.0f); }
RLX_INLINE void store(float* p, vf x) { memcpy(p, x.v, sizeof x.v); }
RLX_INLINE void store_n(float* p, vf x, size_t n) { memcpy(p, x.v, n * sizeof *p); }
RLX_INLINE vi loadi(const void* p) {
  vi r;
  memcpy(r.v, p, sizeof r.v);
  return r;
}
RLX_INLINE vi loadi_n(const int32_t* p, size_t n) { RLX_EACH(vi, i < n ? p[i] : 0); }
RLX_INLINE void storei(void* p, vi x) { memcpy(p, x.v, sizeof x.v); }
RLX_INLINE void storei_n(int32_t* p, vi x, size_t n) { memcpy(p, x.v, n * sizeof *p); }

RLX_INLINE vf operator+(vf a, vf b) { RLX_EACH(vf, a.v[i] + b.v[i]); }
RLX_INLINE vf operator-(vf a, vf b) { RLX_EACH(vf, a.v[i] - b.v[i]); }
RLX_INLINE vf operator*(vf a, vf b) { RLX_EACH(vf, a.v[i] * b.v[i]); }
RLX_INLINE vf operator/(vf a, vf b) { RLX_EACH(vf, a.v[i] / b.v[i]); }
RLX_INLINE vf fma(vf a, vf b, vf c) { RLX_EACH(vf, a.v[i] * b.v[i] + c.v[i]); }
RLX_INLINE vf min(vf a, vf b) { RLX_EACH(vf, a.v[i] < b.v[i] ? a.v[i] : b.v[i]); }
RLX_INLINE vf max(vf a, vf b) { RLX_EACH(vf, a.v[i] > b.v[i] ? a.v[i] : b.v[i]); }
RLX_INLINE vf sqrt(vf a) { RLX_EACH(vf, sqrtf(a.v[i])); }
RLX_INLINE vf abs(vf a) { RLX_EACH(vf, fabsf(a.v[i])); }
RLX_INLINE vf round_even(vf a) { RLX_EACH(vf, nearbyintf(a.v[i])); }
RLX_INLINE vf floor(vf a) { RLX_EACH(vf, floorf(a.v[i])); }

RLX_INLINE vi operator+(vi a, vi b) { RLX_EACH(vi, s(u(a.v[i]) + u(b.v[i]))); }
RLX_INLINE vi operator-(vi a, vi b) { RLX_EACH(vi, s(u(a.v[i]) - u(b.v[i]))); }
RLX_INLINE vi operator*(vi a, vi b) { RLX_EACH(vi, s(u(a.v[i]) * u(b.v[i]))); }
RLX_INLINE vi operator&(vi a, vi b) { RLX_EACH(vi, s(u(a.v[i]) & u(b.v[i]))); }
RLX_INLINE vi operator|(vi a, vi b) { RLX_EACH(vi, s(u(a.v[i]) | u(b.v[i]))); }
RLX_INLINE vi operator^(vi a, vi b) { RLX_EACH(vi, s(u(a.v[i]) ^ u(b.v[i]))); }
template <int N> RLX_INLINE vi shl(vi a) { RLX_EACH(vi, s(u(a.v[i]) << N)); }
template <int N> RLX_INLINE vi shr(vi a) { RLX_EACH(vi, s(u(a.v[i]) >> N)); }
template <int N> RLX_INLINE vi sar(vi a) { RLX_EACH(vi, a.v[i] >> N); }

RLX_INLINE vi bits(vf a) {
  vi r;
  memcpy(r.v, a.v, sizeof r.v);
  return r;
}
RLX_INLINE vf from_bits(vi a) {
  vf r;
  memcpy(r.v, a.v, sizeof r.v);
  return r;
}
// What is not an i32 becomes INT32_MIN, as on x86.
RLX_INLINE int32_t truncate(float x) { return x >= -2147483648.0f && x < 2147483648.0f ? static_cast<int32_t>(x) : INT32_MIN; }
RLX_INLINE vf to_float(vi a) { RLX_EACH(vf, static_cast<float>(a.v[i])); }
RLX_INLINE vi to_int(vf a) { RLX_EACH(vi, truncate(nearbyintf(a.v[i]))); }
RLX_INLINE vi to_int_trunc(vf a) { RLX_EACH(vi, truncate(a.v[i])); }

RLX_INLINE vmask lt(vf a, vf b) { RLX_EACH(vmask, a.v[i] < b.v[i]); }
RLX_INLINE vmask le(vf a, vf b) { RLX_EACH(vmask, a.v[i] <= b.v[i]); }
RLX_INLINE vmask eq(vf a, vf b) { RLX_EACH(vmask, a.v[i] == b.v[i]); }
RLX_INLINE vmask lt(vi a, vi b) { RLX_EACH(vmask, a.v[i] < b.v[i]); }
RLX_INLINE vmask eq(vi a, vi b) { RLX_EACH(vmask, a.v[i] == b.v[i]); }
RLX_INLINE vf select(vmask m, vf a, vf b) { RLX_EACH(vf, m.v[i] ? a.v[i] : b.v[i]); }
RLX_INLINE vi select(vmask m, vi a, vi b) { RLX_EACH(vi, m.v[i] ? a.v[i] : b.v[i]); }

template <int N> RLX_INLINE vf swap(vf a) { RLX_EACH(vf, a.v[i ^ N]); }

RLX_INLINE vi load_u16(const uint16_t* p) { RLX_EACH(vi, p[i]); }
RLX_INLINE vi load_u16_n(const uint16_t* p, size_t n) { RLX_EACH(vi, i < n ? p[i] : 0); }
RLX_INLINE void store_u16_n(uint16_t* p, vi x, size_t n) {
  for (size_t i = 0; i < n; i++) p[i] = static_cast<uint16_t>(x.v[i]);
}
RLX_INLINE void store_u16(uint16_t* p, vi x) { store_u16_n(p, x, kLanes); }
RLX_INLINE vi load_s8(const void* p) { RLX_EACH(vi, static_cast<const int8_t*>(p)[i]); }
RLX_INLINE vi load_u8(const void* p) { RLX_EACH(vi, static_cast<const uint8_t*>(p)[i]); }
RLX_INLINE void store_s8(int8_t* p, vi x) {
  for (size_t i = 0; i < kLanes; i++) p[i] = static_cast<int8_t>(x.v[i]);
}

RLX_INLINE float reduce_add(vf a) { return (a.v[0] + a.v[2]) + (a.v[1] + a.v[3]); }
RLX_INLINE int32_t reduce_addi(vi a) { return s(u(a.v[0]) + u(a.v[1]) + u(a.v[2]) + u(a.v[3])); }
RLX_INLINE float reduce_max(vf a) { return fmaxf(fmaxf(a.v[0], a.v[1]), fmaxf(a.v[2], a.v[3])); }
RLX_INLINE void reduce_add4(vf a, vf b, vf c, vf d, float* out) {
  const vf* x[4] = {&a, &b, &c, &d};
  for (size_t i = 0; i < 4; i++) out[i] = reduce_add(*x[i]);
}

RLX_INLINE vi dot4(vi acc, vi w, vi x) {
  uint8_t a[4 * kLanes];
  int8_t b[4 * kLanes];
  memcpy(a, w.v, sizeof a);
  memcpy(b, x.v, sizeof b);
  RLX_EACH(vi, acc.v[i] + a[4 * i] * b[4 * i] + a[4 * i + 1] * b[4 * i + 1] + a[4 * i + 2] * b[4 * i + 2] + a[4 * i + 3] * b[4 * i + 3]);
}
#undef RLX_EACH

} // namespace RLX_ISA
} // namespace rlx
