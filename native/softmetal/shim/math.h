// <metal_math> and <metal_common>: concrete overloads for float, half and their vectors, as in Apple's headers, so that max(float, int) is ambiguous here too.
// Half is computed in float and rounded once.
#pragma once

#define MSL_EACH(NAME, T, N, PARAMETERS, ...)                \
  MSL_INLINE vec<T, N> NAME PARAMETERS {                     \
    vec<T, N> r;                                             \
    for (int i = 0; i < N; ++i) r.e[i] = NAME(__VA_ARGS__);  \
    return r;                                                \
  }
#define MSL_EACH_SIZE(T, NAME, PARAMETERS2, PARAMETERS3, PARAMETERS4, ...) \
  MSL_EACH(NAME, T, 2, PARAMETERS2, __VA_ARGS__)                           \
  MSL_EACH(NAME, T, 3, PARAMETERS3, __VA_ARGS__)                           \
  MSL_EACH(NAME, T, 4, PARAMETERS4, __VA_ARGS__)

// Vectors of T through the scalar function of one, two or three arguments.
#define MSL_VECTORS1(NAME, T) MSL_EACH_SIZE(T, NAME, (T##2 x), (T##3 x), (T##4 x), x.e[i])
#define MSL_VECTORS2(NAME, T) MSL_EACH_SIZE(T, NAME, (T##2 x, T##2 y), (T##3 x, T##3 y), (T##4 x, T##4 y), x.e[i], y.e[i])
#define MSL_VECTORS3(NAME, T)                                                                                                     \
  MSL_EACH_SIZE(T, NAME, (T##2 x, T##2 y, T##2 z), (T##3 x, T##3 y, T##3 z), (T##4 x, T##4 y, T##4 z), x.e[i], y.e[i], z.e[i])

#define MSL_MATH1(NAME, EXPRESSION)                      \
  MSL_INLINE float NAME(float x) { return EXPRESSION; }  \
  MSL_INLINE half NAME(half x_) {                        \
    float x = x_;                                        \
    return half(EXPRESSION);                             \
  }                                                      \
  MSL_VECTORS1(NAME, float)                              \
  MSL_VECTORS1(NAME, half)
#define MSL_MATH2(NAME, EXPRESSION)                               \
  MSL_INLINE float NAME(float x, float y) { return EXPRESSION; }  \
  MSL_INLINE half NAME(half x_, half y_) {                        \
    float x = x_, y = y_;                                         \
    return half(EXPRESSION);                                      \
  }                                                               \
  MSL_VECTORS2(NAME, float)                                       \
  MSL_VECTORS2(NAME, half)
#define MSL_MATH3(NAME, EXPRESSION)                                        \
  MSL_INLINE float NAME(float x, float y, float z) { return EXPRESSION; }  \
  MSL_INLINE half NAME(half x_, half y_, half z_) {                        \
    float x = x_, y = y_, z = z_;                                          \
    return half(EXPRESSION);                                               \
  }                                                                        \
  MSL_VECTORS3(NAME, float)                                                \
  MSL_VECTORS3(NAME, half)

namespace metal {
#include "math_functions.h"
namespace precise {
#include "math_functions.h"
}
namespace fast {
#include "math_functions.h"
}

#define MSL_CLASSIFY(NAME)                                               \
  MSL_INLINE bool NAME(float x) { return __builtin_##NAME(x); }          \
  MSL_INLINE bool NAME(half x) { return __builtin_##NAME(float(x)); }    \
  MSL_EACH_SIZE(bool, NAME, (float2 x), (float3 x), (float4 x), x.e[i])  \
  MSL_EACH_SIZE(bool, NAME, (half2 x), (half3 x), (half4 x), x.e[i])
MSL_CLASSIFY(isnan)
MSL_CLASSIFY(isinf)
MSL_CLASSIFY(isfinite)
MSL_CLASSIFY(isnormal)
MSL_CLASSIFY(signbit)
#undef MSL_CLASSIFY
}  // namespace metal
