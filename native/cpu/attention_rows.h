// Vectors of a cache as SIMD vectors, in lane order (see attention.h): for every form a reader of the vector in a slot, kStep SIMD vectors at a time.
#pragma once
#include "attention.h"

namespace rlx {
namespace RLX_ISA {

template <class T>
struct Plain {
  static constexpr size_t kStep = 1;
  const typename T::type* p;
  RLX_INLINE Plain at(const HeadRows& h, size_t slot) { return {reinterpret_cast<const typename T::type*>(h.data + slot * h.stride)}; }
  RLX_INLINE void load(const Plain& r, size_t v, vf* out) { out[0] = T::load(r.p + v * kLanes); }
  // The last step of a vector of `dim` values when it is not whole.
  RLX_INLINE void load_last(const Plain& r, size_t v, size_t dim, vf* out) { out[0] = T::load_n(r.p + v * kLanes, dim - v * kLanes); }
};

// Blocks of 32 int8 values under an f16 scale; the last one is filled up with zeros.
struct Q8 {
  static constexpr size_t kStep = 2;
  const uint8_t* p;
  RLX_INLINE Q8 at(const HeadRows& h, size_t slot) { return {h.data + slot * h.stride}; }
  RLX_INLINE void load(const Q8& r, size_t v, vf* out) {
    const uint8_t* block = r.p + v * kLanes / 32 * 34;
    uint16_t scale;
    memcpy(&scale, block, sizeof scale);
    const vf d = set1_f16(scale);
    for (size_t i = 0; i < kStep; i++) out[i] = to_float(load_s8(block + 2 + (v + i) * kLanes % 32)) * d;
  }
  RLX_INLINE void load_last(const Q8& r, size_t v, size_t, vf* out) { load(r, v, out); }
};

#ifdef RLX_SIMD_LOOKUP
// Codes of 4 bits under Blocks norms: the centroids are scaled once for each norm.
template <size_t Blocks>
struct Nibbles {
  static constexpr size_t kStep = 2;
  static constexpr size_t kTable = kLanes < 16 ? 16 / kLanes : 1;
  const uint8_t* p;
  size_t half;  // SIMD vectors under the first norm
  vf table[Blocks][kTable];
  RLX_INLINE Nibbles at(const HeadRows& h, size_t slot) {
    Nibbles r;
    const RLX_BASE::KvCodec& codec = h.side->codec;
    r.p = h.data + slot * h.stride;
    r.half = codec.block / kLanes;
    for (size_t b = 0; b < Blocks; b++) {
      const vf scale = set1(h.norms[slot * h.norm_stride + b] / codec.norm_scale);
      for (size_t i = 0; i < kTable; i++) r.table[b][i] = RLX_ISA::load(codec.centroids + i * kLanes) * scale;
    }
    return r;
  }
  RLX_INLINE vf centroid(const Nibbles& r, size_t v, vi code) {
    if constexpr (Blocks > 1)
      if (v >= r.half) return pick(r.table[Blocks - 1], code);
    return pick(r.table[0], code);
  }
  RLX_INLINE vf pick(const vf (&t)[kTable], vi code) {
    if constexpr (kTable == 1) return lookup(t[0], code);
    else return lookup2(t[0], t[1], code);
  }
  RLX_INLINE void decode(const Nibbles& r, size_t v, vi bytes, vf* out) {
    out[0] = centroid(r, v, bytes);
    out[1] = centroid(r, v, shr<4>(bytes));
  }
  RLX_INLINE void load(const Nibbles& r, size_t v, vf* out) { decode(r, v, load_u8(r.p + v * kLanes / 2), out); }
  RLX_INLINE void load_last(const Nibbles& r, size_t v, size_t dim, vf* out) {
    const uint8_t* last = r.p + v * kLanes / 2;
    const size_t n = (dim - v * kLanes) / 2;
    if (n == 8) return decode(r, v, load_bits<8>(last, 0, n), out);  // as with head dims 16, 48, 80: bytes that were just stored are slow to load
    uint8_t bytes[kLanes] = {};
    memcpy(bytes, last, n);
    decode(r, v, load_u8(bytes), out);
  }
};

#endif

// Vectors of f32 that have been decoded to lane order.
struct Decoded {
  static constexpr size_t kStep = 1;
  const float* p;
  RLX_INLINE void load(const Decoded& r, size_t v, vf* out) { out[0] = RLX_ISA::load(r.p + v * kLanes); }
  RLX_INLINE void load_last(const Decoded& r, size_t v, size_t, vf* out) { load(r, v, out); }
};

// Vectors that will be used after some others.
struct Next {
  const uint8_t* data;  // NULL: none
  size_t stride, bytes;
};

// Vectors of a head from `slot` on that are read where they lie.
template <class F>
struct Stored {
  using Row = F;
  const HeadRows* h;
  size_t slot;
  Next next;
  __attribute__((always_inline)) F row(size_t i) const { return F::at(*h, slot + i); }
};
// The same that lie decoded in a buffer.
struct Buffered {
  using Row = Decoded;
  const float* data;
  size_t width;
  Decoded row(size_t i) const { return {data + i * width}; }
};

// Calls f with a Stored of the form; false for codes.
template <class F>
RLX_INLINE bool with_stored(const HeadRows& h, size_t slot, const Next& next, const F& f) {
  switch (h.side->form) {
    case Form::f32: f(Stored<Plain<F32>>{&h, slot, next}); return true;
    case Form::f16: f(Stored<Plain<F16>>{&h, slot, next}); return true;
    case Form::bf16: f(Stored<Plain<BF16>>{&h, slot, next}); return true;
    case Form::q8: f(Stored<Q8>{&h, slot, next}); return true;
#ifdef RLX_SIMD_LOOKUP
    case Form::nibbles:
      if (h.side->codec.norms == 1) f(Stored<Nibbles<1>>{&h, slot, next});
      else f(Stored<Nibbles<2>>{&h, slot, next});
      return true;
#endif
    default: return false;
  }
}

}  // namespace RLX_ISA
}  // namespace rlx
