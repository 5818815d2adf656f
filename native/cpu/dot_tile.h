// Dot products of float rows: the inner loop of linear, matmul and of the scores of attention.
//
// An output element is summed in one fixed order, whatever tile it is computed in: blocks of kDepth terms, in a block one vector of
// partial sums, reduced once. So a row gives the same bits alone (decode) and among others (prefill).
#pragma once
#include "kernel.h"
#include "simd.h"

namespace rlx {
namespace RLX_ISA {

constexpr size_t kDepth = 64 * kLanes;
// The register tile: kTileRows * kTileCols accumulators, one row of kTileCols operands, one broadcast.
constexpr size_t kTileRows = 4;
constexpr size_t kTileCols = kRegisters >= 32 ? 6 : 3;

struct F32 {
  using type = float;
  RLX_INLINE vf load(const float* p) { return RLX_ISA::load(p); }
  RLX_INLINE vf load_n(const float* p, size_t n) { return RLX_ISA::load_n(p, n); }
};
struct F16 {
  using type = uint16_t;
  RLX_INLINE vf load(const uint16_t* p) { return load_f16(p); }
  RLX_INLINE vf load_n(const uint16_t* p, size_t n) { return load_f16_n(p, n); }
};
struct BF16 {
  using type = uint16_t;
  RLX_INLINE vf load(const uint16_t* p) { return load_bf16(p); }
  RLX_INLINE vf load_n(const uint16_t* p, size_t n) { return load_bf16_n(p, n); }
};

// Calls f(F32{}), f(F16{}) or f(BF16{}).
template <class Fn>
RLX_INLINE void with_float_type(int32_t dtype, Fn f) {
  if (dtype == RLX_F16) f(F16{});
  else if (dtype == RLX_BF16) f(BF16{});
  else f(F32{});
}
inline bool is_vector_float(int32_t dtype) { return dtype == RLX_F32 || dtype == RLX_F16 || dtype == RLX_BF16; }
inline size_t float_bytes(int32_t dtype) { return dtype == RLX_F32 ? 4 : 2; }

// out[i * N + j] = sum over `depth` <= kDepth terms of x[i] * w[j].
template <class W, size_t M, size_t N>
RLX_INLINE void dot_tile(const float* const* x, const typename W::type* const* w, size_t depth, float* out) {
  constexpr size_t kCount = M * N;
  vf acc[kCount];
  RLX_UNROLL
  for (size_t i = 0; i < kCount; i++) acc[i] = set1(0.0f);
  size_t k = 0;
  for (; k + kLanes <= depth; k += kLanes) {
    vf b[N];
    RLX_UNROLL
    for (size_t j = 0; j < N; j++) b[j] = W::load(w[j] + k);
    RLX_UNROLL
    for (size_t i = 0; i < M; i++) {
      const vf a = load(x[i] + k);
      RLX_UNROLL
      for (size_t j = 0; j < N; j++) acc[i * N + j] = fma(a, b[j], acc[i * N + j]);
    }
  }
  if (k < depth) {
    const size_t tail = depth - k;
    RLX_UNROLL
    for (size_t j = 0; j < N; j++) {
      const vf b = W::load_n(w[j] + k, tail);
      RLX_UNROLL
      for (size_t i = 0; i < M; i++) acc[i * N + j] = fma(load_n(x[i] + k, tail), b, acc[i * N + j]);
    }
  }
  if constexpr (kCount == 1) {
    out[0] = reduce_add(acc[0]);
    return;
  }
  const vf none = set1(0.0f);
  RLX_UNROLL
  for (size_t i = 0; i < kCount; i += 4) {
    float four[4];
    reduce_add4(acc[i], i + 1 < kCount ? acc[i + 1] : none, i + 2 < kCount ? acc[i + 2] : none, i + 3 < kCount ? acc[i + 3] : none, four);
    memcpy(out + i, four, sizeof(float) * (kCount - i < 4 ? kCount - i : 4));
  }
}

template <class T>
RLX_INLINE void load_row(const typename T::type* from, size_t count, float* to) {
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(to + i, T::load(from + i));
  if (i < count) store_n(to + i, T::load_n(from + i, count - i), count - i);
}
// `count` values of a float dtype as f32.
inline void to_f32(int32_t dtype, const void* from, size_t count, float* to) {
  with_float_type(dtype, [=](auto t) {
    using T = decltype(t);
    load_row<T>(static_cast<const typename T::type*>(from), count, to);
  });
}
// `count` f32 values as a float dtype, rounded to nearest even.
inline void from_f32(int32_t dtype, const float* from, size_t count, void* to) {
  if (dtype == RLX_F32) {
    memcpy(to, from, count * sizeof(float));
    return;
  }
  uint16_t* out = static_cast<uint16_t*>(to);
  for (size_t i = 0; i < count; i += kLanes) {
    const size_t n = count - i < kLanes ? count - i : kLanes;
    const vf v = load_n(from + i, n);
    if (dtype == RLX_F16) store_f16_n(out + i, v, n);
    else store_bf16_n(out + i, v, n);
  }
}

}  // namespace RLX_ISA
}  // namespace rlx
