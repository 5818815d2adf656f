// How a kernel is called with the arguments of a context. The generated thunks name where each argument comes from; the kernel's own signature says its type.
#pragma once

namespace msl_launch {
template <class A>
struct from_uint3 {
  static A make(msl_uint3 u) { return A(u.x); }
};
template <class T>
struct from_uint3<metal::vec<T, 2>> {
  static metal::vec<T, 2> make(msl_uint3 u) { return metal::vec<T, 2>(T(u.x), T(u.y)); }
};
template <class T>
struct from_uint3<metal::vec<T, 3>> {
  static metal::vec<T, 3> make(msl_uint3 u) { return metal::vec<T, 3>(T(u.x), T(u.y), T(u.z)); }
};

template <class A>
struct from_pointer;
template <class T>
struct from_pointer<T *> {
  MSL_STATIC uint min_bytes = 0;
  MSL_STATIC uint alignment = alignof(T);
  static T *make(__generic void *p) { return (T *)p; }
};
template <class T>
struct from_pointer<T &> {
  MSL_STATIC uint min_bytes = sizeof(T);
  MSL_STATIC uint alignment = alignof(T);
  static T &make(__generic void *p) { return *(T *)p; }
};

struct memory {
  __generic void *pointer;
  template <class A>
  A as() const {
    return from_pointer<A>::make(pointer);
  }
};
struct position {
  msl_uint3 value;
  template <class A>
  A as() const {
    return from_uint3<A>::make(value);
  }
};
struct number {
  uint value;
  template <class A>
  A as() const {
    return A(value);
  }
};

template <class... A, class... Source>
__attribute__((always_inline)) inline void call(void (&kernel_function)(A...), Source... sources) {
  static_assert(sizeof...(A) == sizeof...(Source), "a kernel argument without an attribute");
  kernel_function(sources.template as<A>()...);
}

template <int I, class... A>
struct nth;
template <class First, class... Rest>
struct nth<0, First, Rest...> {
  typedef First type;
};
template <int I, class First, class... Rest>
struct nth<I, First, Rest...> : nth<I - 1, Rest...> {};
// The bytes that have to be bound for argument I.
template <int I, class... A>
constexpr uint min_bytes(void (&)(A...)) {
  return from_pointer<typename nth<I, A...>::type>::min_bytes;
}
template <int I, class... A>
constexpr uint alignment(void (&)(A...)) {
  return from_pointer<typename nth<I, A...>::type>::alignment;
}
}  // namespace msl_launch
