// vec<T, N>: a class rather than clang's ext_vector_type, which has no float4(a, b, c, d), no float4(half4), and would make int4(float4) a bit cast.
#pragma once

namespace metal {
template <class T, int N>
struct vec;
template <class V, class T, int N, int... I>
struct msl_swizzle;

template <class T>
struct msl_component_count {
  MSL_STATIC int value = 1;
};
template <class T, int N>
struct msl_component_count<vec<T, N>> {
  MSL_STATIC int value = N;
};
template <class V, class T, int N, int... I>
struct msl_component_count<msl_swizzle<V, T, N, I...>> {
  MSL_STATIC int value = sizeof...(I);
};
template <class T>
constexpr __global const int msl_components = msl_component_count<remove_cv_t<T>>::value;
template <class T>
constexpr __global const bool msl_is_number = __is_arithmetic(T) || __is_enum(T);

// v.zyx: a member of the storage union of vec<T, N> that reads and writes the components I as a vector V.
template <class V, class T, int N, int... I>
struct msl_swizzle {
  T e[N];
  msl_swizzle() = default;
  msl_swizzle(const msl_swizzle &) = default;
  constexpr operator V() const { return V(e[I]...); }
  msl_swizzle &operator=(const V &v) {
    V copy = v;  // v may be this vector itself: v.xy = v.yx
    int k = 0;
    ((e[I] = copy.e[k++]), ...);
    return *this;
  }
  msl_swizzle &operator=(const msl_swizzle &v) { return *this = V(v); }
  constexpr T operator[](int i) const { return V(*this)[i]; }
#define MSL_ASSIGN(OP) \
  msl_swizzle &operator OP##=(const V &v) { return *this = V(*this) OP v; }
  MSL_ASSIGN(+) MSL_ASSIGN(-) MSL_ASSIGN(*) MSL_ASSIGN(/) MSL_ASSIGN(%) MSL_ASSIGN(&) MSL_ASSIGN(|) MSL_ASSIGN(^) MSL_ASSIGN(<<) MSL_ASSIGN(>>)
#undef MSL_ASSIGN
};

struct msl_zeroed {};

// msl_storage<T, N>: the union of the array e, the names x y z w, r g b a, and all swizzles. Written by tool/swizzles.mjs.
template <class T, int N>
struct msl_storage;
#include "swizzles.h"

template <class T, int N>
struct vec : msl_storage<T, N> {
  using msl_storage<T, N>::e;
  vec() = default;
  vec(const vec &) = default;

  template <class S, enable_if_t<msl_is_number<S>, int> = 0>
  constexpr vec(S s) : msl_storage<T, N>(msl_zeroed{}) {
    for (int i = 0; i < N; ++i) e[i] = T(s);
  }
  template <class U, enable_if_t<!__is_same(U, T), int> = 0>
  constexpr explicit vec(const vec<U, N> &o) : msl_storage<T, N>(msl_zeroed{}) {
    for (int i = 0; i < N; ++i) e[i] = T(o.e[i]);
  }
  template <class U, int M, int... I, enable_if_t<!__is_same(U, T), int> = 0>
  constexpr explicit vec(const msl_swizzle<vec<U, N>, U, M, I...> &o) : vec(vec<U, N>(o)) {}
  // Numbers and vectors that have N components together.
  template <class A, class B, class... R, enable_if_t<((msl_components<A> + msl_components<B>) + ... + msl_components<R>) == N, int> = 0>
  constexpr vec(const A &a, const B &b, const R &...rest) : msl_storage<T, N>(msl_zeroed{}) {
    int k = 0;
    append(k, a);
    append(k, b);
    (append(k, rest), ...);
  }

  constexpr vec &operator=(const vec &o) {
    for (int i = 0; i < N; ++i) e[i] = o.e[i];
    return *this;
  }
  template <class I>
  constexpr T &operator[](I i) {
    check(i);
    return e[i];
  }
  template <class I>
  constexpr const T &operator[](I i) const {
    check(i);
    return e[i];
  }

#define MSL_BINARY(OP)                                        \
  friend constexpr vec operator OP(const vec a, const vec b) { \
    vec r;                                                    \
    for (int i = 0; i < N; ++i) r.e[i] = T(a.e[i] OP b.e[i]); \
    return r;                                                 \
  }                                                           \
  vec &operator OP##=(const vec &b) {                         \
    for (int i = 0; i < N; ++i) e[i] = T(e[i] OP b.e[i]);     \
    return *this;                                             \
  }
  MSL_BINARY(+) MSL_BINARY(-) MSL_BINARY(*) MSL_BINARY(/) MSL_BINARY(%) MSL_BINARY(&) MSL_BINARY(|) MSL_BINARY(^) MSL_BINARY(<<) MSL_BINARY(>>)
#undef MSL_BINARY

#define MSL_COMPARE(OP)                                                 \
  friend constexpr vec<bool, N> operator OP(const vec a, const vec b) { \
    vec<bool, N> r;                                                     \
    for (int i = 0; i < N; ++i) r.e[i] = a.e[i] OP b.e[i];              \
    return r;                                                           \
  }
  MSL_COMPARE(==) MSL_COMPARE(!=) MSL_COMPARE(<) MSL_COMPARE(<=) MSL_COMPARE(>) MSL_COMPARE(>=) MSL_COMPARE(&&) MSL_COMPARE(||)
#undef MSL_COMPARE

#define MSL_UNARY(R, OP)                             \
  constexpr vec<R, N> operator OP() const {          \
    vec<R, N> r;                                     \
    for (int i = 0; i < N; ++i) r.e[i] = R(OP e[i]); \
    return r;                                        \
  }
  MSL_UNARY(T, -) MSL_UNARY(T, +) MSL_UNARY(T, ~) MSL_UNARY(bool, !)
#undef MSL_UNARY

  vec &operator++() { return *this += vec(T(1)); }
  vec &operator--() { return *this -= vec(T(1)); }
  vec operator++(int) {
    vec before = *this;
    ++*this;
    return before;
  }
  vec operator--(int) {
    vec before = *this;
    --*this;
    return before;
  }

 private:
  template <class A>
  constexpr void append(int &k, const A &a) {
    if constexpr (msl_components<A> == 1)
      e[k++] = T(a);
    else
      for (int i = 0; i < msl_components<A>; ++i) e[k++] = T(a[i]);
  }
  template <class I>
  constexpr void check(I i) const {
    if (__builtin_expect((unsigned)i >= (unsigned)N, 0)) __builtin_trap();
  }
};

// packed_float3 and the like: aligned as one element.
template <class T, int N>
struct msl_packed {
  T e[N];
  msl_packed() = default;
  msl_packed(const msl_packed &) = default;
  msl_packed &operator=(const msl_packed &) = default;
  constexpr msl_packed(const vec<T, N> &v) : e{} {
    for (int i = 0; i < N; ++i) e[i] = v.e[i];
  }
  constexpr operator vec<T, N>() const {
    vec<T, N> r;
    for (int i = 0; i < N; ++i) r.e[i] = e[i];
    return r;
  }
  constexpr T &operator[](int i) { return e[i]; }
  constexpr const T &operator[](int i) const { return e[i]; }
};
}  // namespace metal

#define MSL_VECTORS(T)                        \
  typedef metal::vec<T, 2> T##2;              \
  typedef metal::vec<T, 3> T##3;              \
  typedef metal::vec<T, 4> T##4;              \
  typedef metal::msl_packed<T, 2> packed_##T##2; \
  typedef metal::msl_packed<T, 3> packed_##T##3; \
  typedef metal::msl_packed<T, 4> packed_##T##4; \
  namespace metal {                           \
  using ::T##2;                               \
  using ::T##3;                               \
  using ::T##4;                               \
  using ::packed_##T##2;                      \
  using ::packed_##T##3;                      \
  using ::packed_##T##4;                      \
  }
MSL_VECTORS(bool)
MSL_VECTORS(char)
MSL_VECTORS(uchar)
MSL_VECTORS(short)
MSL_VECTORS(ushort)
MSL_VECTORS(int)
MSL_VECTORS(uint)
MSL_VECTORS(long)
MSL_VECTORS(ulong)
MSL_VECTORS(half)
MSL_VECTORS(float)
MSL_VECTORS(bfloat)
#undef MSL_VECTORS

namespace metal {
using ::bfloat;
using ::int16_t;
using ::int32_t;
using ::int64_t;
using ::int8_t;
using ::size_t;
using ::uchar;
using ::uint;
using ::uint16_t;
using ::uint32_t;
using ::uint64_t;
using ::uint8_t;
using ::ulong;
using ::ushort;
}  // namespace metal
