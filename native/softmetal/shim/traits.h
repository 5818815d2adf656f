// <metal_type_traits>: what kernels use of it.
#pragma once

namespace metal {
template <class T, T V>
struct integral_constant {
  MSL_STATIC T value = V;
  typedef T value_type;
  typedef integral_constant type;
  constexpr operator T() const { return V; }
  constexpr T operator()() const { return V; }
};
template <bool B>
using bool_constant = integral_constant<bool, B>;
typedef bool_constant<true> true_type;
typedef bool_constant<false> false_type;

template <bool B, class T = void>
struct enable_if {};
template <class T>
struct enable_if<true, T> {
  typedef T type;
};
template <bool B, class T = void>
using enable_if_t = typename enable_if<B, T>::type;

template <bool B, class T, class F>
struct conditional {
  typedef T type;
};
template <class T, class F>
struct conditional<false, T, F> {
  typedef F type;
};
template <bool B, class T, class F>
using conditional_t = typename conditional<B, T, F>::type;

template <class T>
struct remove_addrspace {
  typedef T type;
};
#define MSL_REMOVE_SPACE(SPACE)     \
  template <class T>                \
  struct remove_addrspace<SPACE T> { \
    typedef T type;                 \
  };
MSL_REMOVE_SPACE(device)
MSL_REMOVE_SPACE(__global)
MSL_REMOVE_SPACE(threadgroup)
MSL_REMOVE_SPACE(thread)
MSL_REMOVE_SPACE(__generic)
#undef MSL_REMOVE_SPACE
template <class T>
using remove_addrspace_t = typename remove_addrspace<T>::type;

// A transformation of a type, as `name<T>::type` and `name_t<T>`.
#define MSL_TYPE_TRAIT(NAME, ...)            \
  template <class T>                         \
  struct NAME {                              \
    typedef __VA_ARGS__ type;                \
  };                                         \
  template <class T>                         \
  using NAME##_t = typename NAME<T>::type;
MSL_TYPE_TRAIT(remove_reference, __remove_reference_t(T))
MSL_TYPE_TRAIT(remove_cv, remove_addrspace_t<__remove_cv(T)>)
MSL_TYPE_TRAIT(remove_const, __remove_const(T))
MSL_TYPE_TRAIT(remove_pointer, __remove_pointer(T))
MSL_TYPE_TRAIT(decay, __remove_cv(__remove_reference_t(T)))
MSL_TYPE_TRAIT(make_unsigned, __make_unsigned(T))
MSL_TYPE_TRAIT(make_signed, __make_signed(T))
#undef MSL_TYPE_TRAIT

// A question about a type, as `name<T>::value` and `name_v<T>`; address spaces and cv-qualifiers do not matter.
#define MSL_QUESTION(NAME)                                         \
  template <class T>                                               \
  struct NAME : bool_constant<__##NAME(remove_cv_t<T>)> {};        \
  template <class T>                                               \
  constexpr __global const bool NAME##_v = __##NAME(remove_cv_t<T>);
MSL_QUESTION(is_integral)
MSL_QUESTION(is_floating_point)
MSL_QUESTION(is_arithmetic)
MSL_QUESTION(is_scalar)
MSL_QUESTION(is_signed)
MSL_QUESTION(is_unsigned)
MSL_QUESTION(is_pointer)
MSL_QUESTION(is_reference)
MSL_QUESTION(is_array)
MSL_QUESTION(is_class)
MSL_QUESTION(is_enum)
MSL_QUESTION(is_void)
MSL_QUESTION(is_trivially_copyable)
#undef MSL_QUESTION

template <class A, class B>
struct is_same : bool_constant<__is_same(A, B)> {};
template <class A, class B>
constexpr __global const bool is_same_v = __is_same(A, B);
template <class A, class B>
struct is_convertible : bool_constant<__is_convertible(A, B)> {};
template <class A, class B>
constexpr __global const bool is_convertible_v = __is_convertible(A, B);
template <class A, class B>
struct is_base_of : bool_constant<__is_base_of(A, B)> {};

template <class T, T... I>
struct integer_sequence {
  static constexpr size_t size() { return sizeof...(I); }
};
template <size_t... I>
using index_sequence = integer_sequence<size_t, I...>;
template <size_t N>
using make_index_sequence = __make_integer_seq<integer_sequence, size_t, N>;
}  // namespace metal
