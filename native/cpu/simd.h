// A thin vector layer, chosen by compile flags: AVX-512, AVX2+FMA+F16C, SSE4.2, NEON, or plain C++ (a port to another instruction set is one more file).
//
//   kLanes, kRegisters   floats in a vector, vector registers
//   vf, vi, vmask   kLanes x f32, i32, and the result of a comparison
//   load store      f32; load_n / store_n touch only the first n <= kLanes lanes, the other lanes read as zero
//   load_f16 load_bf16 store_f16 store_bf16 (+ _n)   stores round to nearest, ties to even
//   set1_f16(bits)  the value of an f16 in every lane
//   load_s8 load_u8 kLanes bytes as i32
//   fma(a, b, c)    a * b + c; fused except with SSE4.2 and plain C++
//   min max         of operands that are not NaN
//   reduce_add4     four vectors summed to four floats, each in the order of reduce_add
//   reduce_add4x4   reduce_add4 of x[4 r] ... x[4 r + 3] to out + r * stride, for r < 4
//   swap<N>         lane i becomes lane i xor N, N a power of two below kLanes
//   RLX_SIMD_LOOKUP  defined with 8 lanes or more, and then there are
//     lookup lookup2  per lane one of the kLanes floats of a vector, or of the 2 kLanes of two; index bits above are ignored
//     gather(p, i)    p[i] per lane
//     load_bits<W>(p, i, n)   fields i ... i + n - 1 of a stream of W-bit fields that begins at p, least significant bit first; i is a multiple
//                     of kLanes, n is kLanes or 8. Bits above a lane's field are undefined.
//   dot4(acc, w, x) acc[i] += sum over the four bytes of lane i of w (stored as q + kDotBias) times x (signed), exact in i32
#pragma once
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(_MSC_VER)
#define RLX_INLINE static __forceinline
#else
#define RLX_INLINE static inline __attribute__((always_inline))
#endif

// Loops over the registers of a tile must disappear: their arrays live in registers only then.
#if defined(__clang__)
#define RLX_UNROLL _Pragma("unroll")
#elif defined(__GNUC__)
#define RLX_UNROLL _Pragma("GCC unroll 32")
#else
#define RLX_UNROLL
#endif

#ifndef RLX_ISA
#define RLX_ISA generic
#endif

namespace rlx {
namespace RLX_ISA {

// Eight fields of W <= 8 bits, which are W bytes, by two loads that overlap.
template <int W> RLX_INLINE uint64_t load_group(const uint8_t* p) {
  uint32_t low, high;
  memcpy(&low, p, 4);
  memcpy(&high, p + W - 4, 4);
  return low | static_cast<uint64_t>(high) << 8 * (W - 4);
}

} // namespace RLX_ISA
} // namespace rlx

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#include "simd_avx512.h"
#elif defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include "simd_avx2.h"
#elif defined(__SSE4_2__)
#include "simd_sse42.h"
#elif defined(__ARM_NEON) && defined(__aarch64__)
#include "simd_neon.h"
#else
#include "simd_generic.h"
#endif

namespace rlx {
namespace RLX_ISA {

#ifndef RLX_SIMD_HALF
// Without hardware conversions, by integer arithmetic on whole vectors.
RLX_INLINE vf half_to_float(vi h) {
  const vi magnitude = shl<13>(h & set1i(0x7fff));
  const vi exponent = magnitude & set1i(0x0f800000);
  vi r = magnitude + set1i(112 << 23);
  r = select(eq(exponent, set1i(0x0f800000)), r + set1i(112 << 23), r);
  const vf subnormal = from_bits(magnitude + set1i(113 << 23)) - from_bits(set1i(113 << 23));
  r = select(eq(exponent, set1i(0)), bits(subnormal), r);
  r = select(lt(set1i(0x0f800000), magnitude), r | set1i(0x400000), r);  // NaN: quiet, with its payload
  return from_bits(r | shl<16>(h & set1i(0x8000)));
}
RLX_INLINE vi float_to_half(vf x) {
  const vi b = bits(x);
  const vi a = b & set1i(0x7fffffff);
  // Below 2^-14, adding 0.5 leaves the rounded subnormal in the low bits of the sum.
  const vi subnormal = bits(from_bits(a) + from_bits(set1i(126 << 23))) - set1i(126 << 23);
  const vi odd = shr<13>(a) & set1i(1);
  vi r = shr<13>(a + set1i(static_cast<int32_t>(0xc8000fffu)) + odd);
  r = select(lt(a, set1i(113 << 23)), subnormal, r);
  r = select(lt(set1i(0x477fefff), a), set1i(0x7c00), r);
  r = select(lt(set1i(0x7f800000), a), (shr<13>(a) & set1i(0x3ff)) | set1i(0x7e00), r);
  return r | (shr<16>(b) & set1i(0x8000));
}
RLX_INLINE vf load_f16(const uint16_t* p) { return half_to_float(load_u16(p)); }
RLX_INLINE vf load_f16_n(const uint16_t* p, size_t n) { return half_to_float(load_u16_n(p, n)); }
RLX_INLINE void store_f16(uint16_t* p, vf x) { store_u16(p, float_to_half(x)); }
RLX_INLINE void store_f16_n(uint16_t* p, vf x, size_t n) { store_u16_n(p, float_to_half(x), n); }
RLX_INLINE vf set1_f16(uint16_t h) { return half_to_float(set1i(h)); }
#endif

#ifndef RLX_SIMD_REDUCE
RLX_INLINE void reduce_add4x4(const vf* x, float* out, size_t stride) {
  for (size_t r = 0; r < 4; r++) reduce_add4(x[4 * r], x[4 * r + 1], x[4 * r + 2], x[4 * r + 3], out + r * stride);
}
#endif

RLX_INLINE vi float_to_bf16(vf x) {
  const vi b = bits(x);
  const vi rounded = shr<16>(b + set1i(0x7fff) + (shr<16>(b) & set1i(1)));
  return select(lt(set1i(0x7f800000), b & set1i(0x7fffffff)), shr<16>(b) | set1i(0x40), rounded);
}
RLX_INLINE vf load_bf16(const uint16_t* p) { return from_bits(shl<16>(load_u16(p))); }
RLX_INLINE vf load_bf16_n(const uint16_t* p, size_t n) { return from_bits(shl<16>(load_u16_n(p, n))); }
RLX_INLINE void store_bf16(uint16_t* p, vf x) { store_u16(p, float_to_bf16(x)); }
RLX_INLINE void store_bf16_n(uint16_t* p, vf x, size_t n) { store_u16_n(p, float_to_bf16(x), n); }

} // namespace RLX_ISA
} // namespace rlx
