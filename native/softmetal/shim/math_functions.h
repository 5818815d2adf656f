// The functions of <metal_math>. Included once per namespace (metal, metal::precise, metal::fast): what fast math loses cannot be told on a CPU.
MSL_MATH1(abs, __builtin_fabsf(x))
MSL_MATH1(acos, __builtin_acosf(x))
MSL_MATH1(acosh, __builtin_acoshf(x))
MSL_MATH1(asin, __builtin_asinf(x))
MSL_MATH1(asinh, __builtin_asinhf(x))
MSL_MATH1(atan, __builtin_atanf(x))
MSL_MATH1(atanh, __builtin_atanhf(x))
MSL_MATH1(ceil, __builtin_ceilf(x))
MSL_MATH1(cos, __builtin_cosf(x))
MSL_MATH1(cosh, __builtin_coshf(x))
MSL_MATH1(cospi, __builtin_cosf(M_PI_F * x))
MSL_MATH1(exp, __builtin_expf(x))
MSL_MATH1(exp2, __builtin_exp2f(x))
MSL_MATH1(exp10, __builtin_exp2f(x * 3.321928094887362f))
MSL_MATH1(fabs, __builtin_fabsf(x))
MSL_MATH1(floor, __builtin_floorf(x))
MSL_MATH1(fract, __builtin_fminf(x - __builtin_floorf(x), 0.99999994f))
MSL_MATH1(log, __builtin_logf(x))
MSL_MATH1(log2, __builtin_log2f(x))
MSL_MATH1(log10, __builtin_log10f(x))
MSL_MATH1(rint, __builtin_rintf(x))
MSL_MATH1(round, __builtin_roundf(x))
MSL_MATH1(rsqrt, 1.0f / __builtin_sqrtf(x))
MSL_MATH1(saturate, __builtin_fminf(__builtin_fmaxf(x, 0.0f), 1.0f))
MSL_MATH1(sign, x > 0 ? 1.0f : x < 0 ? -1.0f : x)
MSL_MATH1(sin, __builtin_sinf(x))
MSL_MATH1(sinh, __builtin_sinhf(x))
MSL_MATH1(sinpi, __builtin_sinf(M_PI_F *x))
MSL_MATH1(sqrt, __builtin_sqrtf(x))
MSL_MATH1(tan, __builtin_tanf(x))
MSL_MATH1(tanh, __builtin_tanhf(x))
MSL_MATH1(tanpi, __builtin_tanf(M_PI_F *x))
MSL_MATH1(trunc, __builtin_truncf(x))
MSL_MATH2(atan2, __builtin_atan2f(x, y))
MSL_MATH2(copysign, __builtin_copysignf(x, y))
MSL_MATH2(divide, x / y)
MSL_MATH2(fdim, __builtin_fdimf(x, y))
MSL_MATH2(fmax, __builtin_fmaxf(x, y))
MSL_MATH2(fmin, __builtin_fminf(x, y))
MSL_MATH2(fmod, __builtin_fmodf(x, y))
MSL_MATH2(max, __builtin_fmaxf(x, y))
MSL_MATH2(min, __builtin_fminf(x, y))
MSL_MATH2(nextafter, __builtin_nextafterf(x, y))
MSL_MATH2(pow, __builtin_powf(x, y))
MSL_MATH2(powr, __builtin_powf(x, y))
MSL_MATH2(step, y < x ? 0.0f : 1.0f)
MSL_MATH3(clamp, __builtin_fminf(__builtin_fmaxf(x, y), z))
MSL_MATH3(fma, __builtin_fmaf(x, y, z))
MSL_MATH3(fmax3, __builtin_fmaxf(x, __builtin_fmaxf(y, z)))
MSL_MATH3(fmin3, __builtin_fminf(x, __builtin_fminf(y, z)))
MSL_MATH3(mad, x *y + z)
MSL_MATH3(max3, __builtin_fmaxf(x, __builtin_fmaxf(y, z)))
MSL_MATH3(median3, __builtin_fmaxf(__builtin_fminf(x, y), __builtin_fminf(__builtin_fmaxf(x, y), z)))
MSL_MATH3(min3, __builtin_fminf(x, __builtin_fminf(y, z)))
MSL_MATH3(mix, x + (y - x) * z)

MSL_INLINE float smoothstep(float low, float high, float x) {
  float t = clamp((x - low) / (high - low), 0.0f, 1.0f);
  return t * t * (3.0f - 2.0f * t);
}
MSL_INLINE float ldexp(float x, int k) { return __builtin_ldexpf(x, k); }
MSL_INLINE half ldexp(half x, int k) { return half(__builtin_ldexpf(x, k)); }
MSL_INLINE int ilogb(float x) { return __builtin_ilogbf(x); }
MSL_INLINE float frexp(float x, thread int &exponent) { return __builtin_frexpf(x, (int *)&exponent); }
MSL_INLINE float modf(float x, thread float &whole) {
  whole = __builtin_truncf(x);
  return x - whole;
}
MSL_INLINE float sincos(float x, thread float &cosine) {
  cosine = __builtin_cosf(x);
  return __builtin_sinf(x);
}
