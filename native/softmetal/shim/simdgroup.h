// <metal_simdgroup> and <metal_quadgroup>: every lane deposits its value and waits; when all lanes are there, each computes its own result from the deposits.
#pragma once

namespace metal {
template <class T>
struct msl_deposits {
  const __generic msl_lanes *lanes;
  bool has(uint lane) const { return lane < MSL_LANES && (lanes->mask >> lane & 1); }
  T operator[](uint lane) const {
    T value;
    __builtin_memcpy(&value, lanes->deposit[lane], sizeof(T));
    return value;
  }
  // The value of a lane that has to take part.
  T from(uint lane, MSL_CONSTANT const char *misuse, msl_site at) const {
    if (!has(lane)) msl_misuse(misuse, at);
    return (*this)[lane % MSL_LANES];
  }
};

template <class T>
MSL_INLINE msl_deposits<T> msl_meet(const T &value, msl_operation operation, msl_site at) {
  static_assert(sizeof(T) <= MSL_DEPOSIT_BYTES, "too large for a simdgroup function");
  static_assert(!is_pointer_v<T>, "a pointer is no argument of a simdgroup function");
  return msl_deposits<T>{msl_exchange(&value, sizeof(T), operation, at)};
}

#define MSL_REDUCTION(NAME, OPERATION, EXPRESSION)          \
  template <class T>                                        \
  MSL_INLINE T NAME(T value, MSL_SITE) {                    \
    auto all = msl_meet(value, OPERATION, MSL_HERE);        \
    uint first = __builtin_ctz(all.lanes->mask);            \
    T a = all[first];                                       \
    for (uint lane = first + 1; lane < MSL_LANES; ++lane) { \
      if (!all.has(lane)) continue;                         \
      T b = all[lane];                                      \
      a = T(EXPRESSION);                                    \
    }                                                       \
    return a;                                               \
  }
MSL_REDUCTION(simd_sum, MSL_OP_SUM, a + b)
MSL_REDUCTION(simd_product, MSL_OP_PRODUCT, a *b)
MSL_REDUCTION(simd_max, MSL_OP_MAX, max(a, b))
MSL_REDUCTION(simd_min, MSL_OP_MIN, min(a, b))
MSL_REDUCTION(simd_and, MSL_OP_AND, a &b)
MSL_REDUCTION(simd_or, MSL_OP_OR, a | b)
MSL_REDUCTION(simd_xor, MSL_OP_XOR, a ^ b)
#undef MSL_REDUCTION

#define MSL_PREFIX(NAME, START, INCLUSIVE, EXPRESSION)        \
  template <class T>                                          \
  MSL_INLINE T NAME(T value, MSL_SITE) {                      \
    uint end = msl_lane() + INCLUSIVE;                        \
    auto all = msl_meet(value, MSL_OP_PREFIX, MSL_HERE);      \
    T a = T(START);                                           \
    for (uint lane = 0; lane < end; ++lane) {                 \
      if (!all.has(lane)) continue;                           \
      T b = all[lane];                                        \
      a = T(EXPRESSION);                                      \
    }                                                         \
    return a;                                                 \
  }
MSL_PREFIX(simd_prefix_inclusive_sum, 0, 1, a + b)
MSL_PREFIX(simd_prefix_exclusive_sum, 0, 0, a + b)
MSL_PREFIX(simd_prefix_inclusive_product, 1, 1, a *b)
MSL_PREFIX(simd_prefix_exclusive_product, 1, 0, a *b)
#undef MSL_PREFIX

template <class T>
MSL_INLINE T simd_shuffle(T value, ushort lane, MSL_SITE) {
  return msl_meet(value, MSL_OP_SHUFFLE, MSL_HERE).from(lane, "simd_shuffle from a lane that is not active", MSL_HERE);
}
template <class T>
MSL_INLINE T simd_shuffle_xor(T value, ushort mask, MSL_SITE) {
  uint lane = msl_lane() ^ mask;
  return msl_meet(value, MSL_OP_SHUFFLE, MSL_HERE).from(lane, "simd_shuffle_xor from a lane that is not active", MSL_HERE);
}
template <class T>
MSL_INLINE T simd_broadcast(T value, ushort lane, MSL_SITE) {
  return msl_meet(value, MSL_OP_BROADCAST, MSL_HERE).from(lane, "simd_broadcast from a lane that is not active", MSL_HERE);
}
template <class T>
MSL_INLINE T simd_broadcast_first(T value, MSL_SITE) {
  auto all = msl_meet(value, MSL_OP_BROADCAST, MSL_HERE);
  return all[__builtin_ctz(all.lanes->mask)];
}
// Lanes that would read beyond the simdgroup keep their own value.
template <class T>
MSL_INLINE T simd_shuffle_down(T value, ushort delta, MSL_SITE) {
  uint lane = msl_lane() + delta;
  auto all = msl_meet(value, MSL_OP_SHUFFLE, MSL_HERE);
  return all.has(lane) ? all[lane] : value;
}
template <class T>
MSL_INLINE T simd_shuffle_up(T value, ushort delta, MSL_SITE) {
  uint lane = msl_lane() - delta;
  auto all = msl_meet(value, MSL_OP_SHUFFLE, MSL_HERE);
  return all.has(lane) ? all[lane] : value;
}
template <class T>
MSL_INLINE T simd_shuffle_rotate_down(T value, ushort delta, MSL_SITE) {
  uint lane = (msl_lane() + delta) % MSL_LANES;
  return msl_meet(value, MSL_OP_SHUFFLE, MSL_HERE).from(lane, "simd_shuffle_rotate_down from a lane that is not active", MSL_HERE);
}
template <class T>
MSL_INLINE T simd_shuffle_rotate_up(T value, ushort delta, MSL_SITE) {
  uint lane = (msl_lane() - delta) % MSL_LANES;
  return msl_meet(value, MSL_OP_SHUFFLE, MSL_HERE).from(lane, "simd_shuffle_rotate_up from a lane that is not active", MSL_HERE);
}

MSL_INLINE bool simd_any(bool value, MSL_SITE) {
  auto all = msl_meet(value, MSL_OP_VOTE, MSL_HERE);
  for (uint lane = 0; lane < MSL_LANES; ++lane)
    if (all.has(lane) && all[lane]) return true;
  return false;
}
MSL_INLINE bool simd_all(bool value, MSL_SITE) {
  auto all = msl_meet(value, MSL_OP_VOTE, MSL_HERE);
  for (uint lane = 0; lane < MSL_LANES; ++lane)
    if (all.has(lane) && !all[lane]) return false;
  return true;
}
MSL_INLINE bool simd_is_first(MSL_SITE) {
  auto all = msl_meet(true, MSL_OP_VOTE, MSL_HERE);
  return msl_lane() == __builtin_ctz(all.lanes->mask);
}

struct simd_vote {
  typedef ulong vote_t;
  vote_t bits;
  explicit constexpr simd_vote(vote_t b = 0) : bits(b) {}
  explicit constexpr operator vote_t() const { return bits; }
  bool all() const { return bits == 0xffffffffu; }
  bool any() const { return bits != 0; }
};
MSL_INLINE simd_vote simd_ballot(bool value, MSL_SITE) {
  auto all = msl_meet(value, MSL_OP_VOTE, MSL_HERE);
  ulong bits = 0;
  for (uint lane = 0; lane < MSL_LANES; ++lane)
    if (all.has(lane) && all[lane]) bits |= 1ul << lane;
  return simd_vote(bits);
}
MSL_INLINE simd_vote simd_active_threads_mask(MSL_SITE) { return simd_vote(msl_meet(true, MSL_OP_VOTE, MSL_HERE).lanes->mask); }

// Quads are four neighbouring lanes; the whole simdgroup meets, as it does on the hardware.
template <class T>
MSL_INLINE T quad_broadcast(T value, ushort lane, MSL_SITE) {
  uint from = (msl_lane() & ~3u) + lane;
  return msl_meet(value, MSL_OP_BROADCAST, MSL_HERE).from(from, "quad_broadcast from a lane that is not active", MSL_HERE);
}
template <class T>
MSL_INLINE T quad_shuffle_xor(T value, ushort mask, MSL_SITE) {
  uint from = msl_lane() ^ (mask & 3);
  return msl_meet(value, MSL_OP_SHUFFLE, MSL_HERE).from(from, "quad_shuffle_xor from a lane that is not active", MSL_HERE);
}
template <class T>
MSL_INLINE T quad_sum(T value, MSL_SITE) {
  uint quad = msl_lane() & ~3u;
  auto all = msl_meet(value, MSL_OP_SUM, MSL_HERE);
  T sum = T(0);
  for (uint lane = quad; lane < quad + 4; ++lane)
    if (all.has(lane)) sum += all[lane];
  return sum;
}
}  // namespace metal
