// Constants of <metal_math> and <metal_limits>, and numeric_limits.
#pragma once

#define INFINITY (__builtin_inff())
#define NAN (__builtin_nanf(""))
#define HUGE_VALF (__builtin_huge_valf())
#define HUGE_VALH ((half)__builtin_inff())
#define FLT_MAX 3.402823466e+38F
#define FLT_MIN 1.175494351e-38F
#define FLT_EPSILON 1.192092896e-07F
#define MAXFLOAT FLT_MAX
#define HALF_MAX 65504.0h
#define MAXHALF HALF_MAX
#define HALF_MIN 6.103515625e-05h
#define HALF_EPSILON 9.765625e-04h
#define CHAR_MAX 127
#define CHAR_MIN (-128)
#define SCHAR_MAX 127
#define SCHAR_MIN (-128)
#define UCHAR_MAX 255
#define SHRT_MAX 32767
#define SHRT_MIN (-32768)
#define USHRT_MAX 65535
#define INT_MAX 2147483647
#define INT_MIN (-2147483647 - 1)
#define UINT_MAX 4294967295u
#define LONG_MAX 0x7fffffffffffffffL
#define LONG_MIN (-LONG_MAX - 1)
#define ULONG_MAX 0xffffffffffffffffUL
#define M_E_F 2.71828182845904523536f
#define M_LOG2E_F 1.44269504088896340736f
#define M_LOG10E_F 0.43429448190325182765f
#define M_LN2_F 0.69314718055994530942f
#define M_LN10_F 2.30258509299404568402f
#define M_PI_F 3.14159265358979323846f
#define M_PI_2_F 1.57079632679489661923f
#define M_PI_4_F 0.78539816339744830962f
#define M_1_PI_F 0.31830988618379067154f
#define M_2_PI_F 0.63661977236758134308f
#define M_2_SQRTPI_F 1.12837916709551257390f
#define M_SQRT2_F 1.41421356237309504880f
#define M_SQRT1_2_F 0.70710678118654752440f
#define M_PI_H 3.14159265358979323846h

namespace metal {
template <class T>
struct numeric_limits;

#define MSL_FLOAT_LIMITS(T, MAX, MIN, EPSILON, DIGITS)                                                                                   \
  template <>                                                                                                                            \
  struct numeric_limits<T> {                                                                                                             \
    MSL_STATIC bool is_specialized = true, is_signed = true, is_integer = false, has_infinity = true, has_quiet_NaN = true;              \
    MSL_STATIC int digits = DIGITS, radix = 2;                                                                                           \
    static constexpr T max() { return T(MAX); }                                                                                          \
    static constexpr T lowest() { return T(-MAX); }                                                                                      \
    static constexpr T min() { return T(MIN); }                                                                                          \
    static constexpr T epsilon() { return T(EPSILON); }                                                                                  \
    static constexpr T infinity() { return T(__builtin_inff()); }                                                                        \
    static constexpr T quiet_NaN() { return T(__builtin_nanf("")); }                                                                     \
  };
MSL_FLOAT_LIMITS(float, FLT_MAX, FLT_MIN, FLT_EPSILON, 24)
MSL_FLOAT_LIMITS(half, 65504.0f, 6.103515625e-05f, 9.765625e-04f, 11)
MSL_FLOAT_LIMITS(bfloat, 3.38953138925e+38f, FLT_MIN, 0.0078125f, 8)

#define MSL_INTEGER_LIMITS(T, MAX, MIN, SIGNED)                                                                                          \
  template <>                                                                                                                            \
  struct numeric_limits<T> {                                                                                                             \
    MSL_STATIC bool is_specialized = true, is_signed = SIGNED, is_integer = true, has_infinity = false, has_quiet_NaN = false;           \
    MSL_STATIC int digits = 8 * sizeof(T) - SIGNED, radix = 2;                                                                           \
    static constexpr T max() { return MAX; }                                                                                             \
    static constexpr T lowest() { return MIN; }                                                                                          \
    static constexpr T min() { return MIN; }                                                                                             \
    static constexpr T epsilon() { return 0; }                                                                                           \
  };
MSL_INTEGER_LIMITS(bool, true, false, 0)
MSL_INTEGER_LIMITS(char, 127, -128, 1)
MSL_INTEGER_LIMITS(signed char, 127, -128, 1)
MSL_INTEGER_LIMITS(uchar, 255, 0, 0)
MSL_INTEGER_LIMITS(short, 32767, -32768, 1)
MSL_INTEGER_LIMITS(ushort, 65535, 0, 0)
MSL_INTEGER_LIMITS(int, INT_MAX, INT_MIN, 1)
MSL_INTEGER_LIMITS(uint, UINT_MAX, 0, 0)
MSL_INTEGER_LIMITS(long, LONG_MAX, LONG_MIN, 1)
MSL_INTEGER_LIMITS(ulong, ULONG_MAX, 0, 0)
}  // namespace metal
