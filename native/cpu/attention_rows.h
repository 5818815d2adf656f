// Vectors of a cache as SIMD vectors, in lane order (see attention.h). For every form a Row, the vector in a slot, of which a Chunk is what
// kStep SIMD vectors are made of; kept apart, so that few registers are taken until they are used.
#pragma once
#include "attention.h"

namespace rlx {
namespace RLX_ISA {

template <class T>
struct Plain {
  static constexpr size_t kStep = 1;
  using Chunk = vf;
  const typename T::type* p;
  RLX_INLINE Plain at(const HeadRows& h, size_t slot) { return {reinterpret_cast<const typename T::type*>(h.data + slot * h.stride)}; }
  // From SIMD vector v on.
  RLX_INLINE Chunk chunk(const Plain& r, size_t v) { return T::load(r.p + v * kLanes); }
  // The last one of a vector of `dim` values, when it is not whole.
  RLX_INLINE Chunk last_chunk(const Plain& r, size_t v, size_t dim) { return T::load_n(r.p + v * kLanes, dim - v * kLanes); }
  // SIMD vector v + s of the chunk that begins at v.
  RLX_INLINE vf part(const Plain&, const Chunk& c, size_t, size_t) { return c; }
};

// Blocks of 32 int8 values under an f16 scale; the last one is filled up with zeros.
struct Q8 {
  static constexpr size_t kStep = 2;
  struct Chunk {
    const uint8_t* codes;
    vf scale;
  };
  const uint8_t* p;
  RLX_INLINE Q8 at(const HeadRows& h, size_t slot) { return {h.data + slot * h.stride}; }
  RLX_INLINE Chunk chunk(const Q8& r, size_t v) {
    const uint8_t* block = r.p + v * kLanes / 32 * 34;
    uint16_t scale;
    memcpy(&scale, block, sizeof scale);
    return {block + 2 + v * kLanes % 32, set1_f16(scale)};
  }
  RLX_INLINE Chunk last_chunk(const Q8& r, size_t v, size_t) { return chunk(r, v); }
  RLX_INLINE vf part(const Q8&, const Chunk& c, size_t, size_t s) { return to_float(load_s8(c.codes + s * kLanes)) * c.scale; }
};

#ifdef RLX_SIMD_LOOKUP
// Codes of 4 bits under Blocks norms: the centroids are scaled once for each norm.
template <size_t Blocks>
struct Nibbles {
  static constexpr size_t kStep = 2;
  static constexpr size_t kTable = kLanes < 16 ? 16 / kLanes : 1;
  using Chunk = vi;
  const uint8_t* p;
  size_t half;  // SIMD vectors under the first norm
  vf table[Blocks][kTable];
  RLX_INLINE Nibbles at(const HeadRows& h, size_t slot) {
    Nibbles r;
    const RLX_BASE::KvCodec& codec = h.side->codec;
    r.p = h.data + slot * h.stride;
    r.half = codec.block / kLanes;
    for (size_t b = 0; b < Blocks; b++) {
      const vf scale = set1(h.norms[slot * h.norm_stride + b] * h.side->norm_factor);
      for (size_t i = 0; i < kTable; i++) r.table[b][i] = load(codec.centroids + i * kLanes) * scale;
    }
    return r;
  }
  RLX_INLINE Chunk chunk(const Nibbles& r, size_t v) { return load_u8(r.p + v * kLanes / 2); }
  RLX_INLINE Chunk last_chunk(const Nibbles& r, size_t v, size_t dim) {
    uint8_t bytes[kLanes] = {};
    memcpy(bytes, r.p + v * kLanes / 2, (dim - v * kLanes) / 2);
    return load_u8(bytes);
  }
  RLX_INLINE vf pick(const vf (&t)[kTable], vi code) {
    if constexpr (kTable == 1) return lookup(t[0], code);
    else return lookup2(t[0], t[1], code);
  }
  RLX_INLINE vf part(const Nibbles& r, const Chunk& c, size_t v, size_t s) {
    const vi code = s == 0 ? c : shr<4>(c);
    if constexpr (Blocks > 1)
      if (v >= r.half) return pick(r.table[Blocks - 1], code);
    return pick(r.table[0], code);
  }
};
#endif

// Vectors of f32 that have been decoded to lane order.
struct Decoded {
  static constexpr size_t kStep = 1;
  using Chunk = vf;
  const float* p;
  RLX_INLINE Chunk chunk(const Decoded& r, size_t v) { return load(r.p + v * kLanes); }
  RLX_INLINE Chunk last_chunk(const Decoded& r, size_t v, size_t) { return chunk(r, v); }
  RLX_INLINE vf part(const Decoded&, const Chunk& c, size_t, size_t) { return c; }
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
