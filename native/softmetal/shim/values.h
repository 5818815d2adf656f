// as_type, and what the source tool puts around the arms of a conditional operator.
#pragma once

template <class T, class U>
static inline __attribute__((always_inline)) constexpr T as_type(const U &from) {
  static_assert(sizeof(T) == sizeof(U), "as_type: the types have different sizes");
  T to;
  __builtin_memcpy(&to, &from, sizeof(T));
  return to;
}
namespace metal {
using ::as_type;
}

// The value of an expression, out of its address space: C++ for OpenCL cannot unify `condition ? deviceVector : float4(0)`.
template <class T, metal::enable_if_t<!__is_pointer(metal::remove_cv_t<T>) && !__is_array(T), int> = 0>
static inline __attribute__((always_inline)) constexpr metal::remove_cv_t<T> msl_value(const T &x) {
  return x;
}
template <class T>
static inline __attribute__((always_inline)) constexpr T *msl_value(T *x) {
  return x;
}
template <class V, class T, int N, int... I>
static inline __attribute__((always_inline)) constexpr V msl_value(const metal::msl_swizzle<V, T, N, I...> &x) {
  return x;
}
