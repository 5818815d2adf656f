// Codes of a KV codec as vectors of centroids, for loops that use them at once.
#pragma once
#include "kv_codec.h"
#include "simd.h"

namespace rlx {
namespace RLX_ISA {

// The table for codes of Bits bits that take Width bits each, and centroids_at(table, p, i, n): the centroids of codes i ... i + n - 1 of a vector
// that is packed at p; i is a multiple of kLanes, n is kLanes or, at the end, 8.
#ifdef RLX_SIMD_LOOKUP

// In registers where it fits; being antisymmetric, half of it may do.
template <int Bits, int Width> struct Centroids {
  static constexpr int kEntries = 1 << Bits, kPerVector = static_cast<int>(kLanes);
  static constexpr bool kWhole = kEntries <= 2 * kPerVector, kHalf = !kWhole && kEntries <= 16 * kPerVector;
  static constexpr int kVectors = kWhole ? kEntries / kPerVector : kHalf ? kEntries / 2 / kPerVector : 1;

  const float* all;
  vf table[kVectors];
};

template <int Bits, int Width> RLX_INLINE Centroids<Bits, Width> centroids_of(const float* all) {
  using C = Centroids<Bits, Width>;
  C c;
  c.all = all;
  RLX_UNROLL
  for (int v = 0; v < C::kVectors; v++) c.table[v] = load(all + (C::kHalf ? C::kEntries / 2 : 0) + v * C::kPerVector);
  return c;
}

// One of V * kLanes floats per lane, by the low bits of its index.
template <int V> RLX_INLINE vf pick(const vf* table, vi i) {
  if constexpr (V == 1) return lookup(table[0], i);
  else if constexpr (V == 2) return lookup2(table[0], table[1], i);
  else {
    constexpr int kHalf = V / 2 * static_cast<int>(kLanes);  // a power of two: the bit that tells the halves of the table apart
    const vf low = pick<V / 2>(table, i), high = pick<V / 2>(table + V / 2, i);
    return select(eq(i & set1i(kHalf), set1i(0)), low, high);
  }
}

template <int Bits, int Width> RLX_INLINE vf centroids_at(const Centroids<Bits, Width>& c, const uint8_t* p, size_t i, size_t n) {
  using C = Centroids<Bits, Width>;
  const vi code = load_bits<Width>(p, i, n);
  if constexpr (C::kWhole) return pick<C::kVectors>(c.table, code);
  else if constexpr (C::kHalf) {
    // Code 2^(Bits - 1) + k is element k of the positive half, and the complement of that code is minus it.
    const vi negative = sar<31>(shl<32 - Bits>(code)) ^ set1i(-1);
    return from_bits(bits(pick<C::kVectors>(c.table, code ^ negative)) ^ (negative & set1i(INT32_MIN)));
  } else {
    return gather(c.all, code & set1i(C::kEntries - 1));
  }
}

#else

template <int Bits, int Width> struct Centroids {
  const float* all;
};
template <int Bits, int Width> RLX_INLINE Centroids<Bits, Width> centroids_of(const float* all) { return {all}; }
template <int Bits, int Width> RLX_INLINE vf centroids_at(const Centroids<Bits, Width>& c, const uint8_t* p, size_t i, size_t) {
  static_assert(kLanes == 4, "half of a group");
  const uint64_t group = load_group<Width>(p + i / 8 * Width) >> (i % 8 * Width);
  constexpr uint64_t kMask = (1u << Bits) - 1;
  const float lanes[4] = {c.all[group & kMask], c.all[group >> Width & kMask], c.all[group >> 2 * Width & kMask], c.all[group >> 3 * Width & kMask]};
  return load(lanes);
}

#endif

// f with the table of a codec.
template <class F> RLX_INLINE void with_centroids(const RLX_BASE::KvCodec& codec, const F& f) {
  switch (codec.bits * 16 + codec.width) {
    case 4 * 16 + 4: return f(centroids_of<4, 4>(codec.centroids));
    case 5 * 16 + 5: return f(centroids_of<5, 5>(codec.centroids));
    case 6 * 16 + 6: return f(centroids_of<6, 6>(codec.centroids));
    case 5 * 16 + 8: return f(centroids_of<5, 8>(codec.centroids));
    case 6 * 16 + 8: return f(centroids_of<6, 8>(codec.centroids));
    default: return f(centroids_of<8, 8>(codec.centroids));
  }
}

}  // namespace RLX_ISA
}  // namespace rlx
