// <metal_integer>: concrete overloads for every integer type and its vectors. U: the unsigned type of the same width. `long` has 64 bits in OpenCL, `long long` 128.
#pragma once

#define MSL_INTEGER1(NAME, T, EXPRESSION)               \
  MSL_INLINE T NAME(T x) { return T(EXPRESSION); }      \
  MSL_VECTORS1(NAME, T)
#define MSL_INTEGER2(NAME, T, EXPRESSION)               \
  MSL_INLINE T NAME(T x, T y) { return T(EXPRESSION); } \
  MSL_VECTORS2(NAME, T)
#define MSL_INTEGER3(NAME, T, EXPRESSION)                    \
  MSL_INLINE T NAME(T x, T y, T z) { return T(EXPRESSION); } \
  MSL_VECTORS3(NAME, T)

namespace metal {
template <class T, class U>
MSL_INLINE T msl_rotate(T x, T by) {
  const uint bits = 8 * sizeof(T), left = uint(U(by)) % bits;
  return left == 0 ? x : T(U(U(x) << left) | U(U(x) >> (bits - left)));
}
template <class T>
MSL_INLINE T msl_add_saturated(T x, T y) {
  T sum;
  if (!__builtin_add_overflow(x, y, &sum)) return sum;
  return x < T(0) ? numeric_limits<T>::min() : numeric_limits<T>::max();
}
template <class T>
MSL_INLINE T msl_subtract_saturated(T x, T y) {
  T difference;
  if (!__builtin_sub_overflow(x, y, &difference)) return difference;
  return !numeric_limits<T>::is_signed || x < T(0) ? numeric_limits<T>::min() : numeric_limits<T>::max();
}
template <class T, class U>
MSL_INLINE T msl_reverse_bits(T x) {
  U from = U(x), to = 0;
  for (uint i = 0; i < 8 * sizeof(T); ++i, from >>= 1) to = U(U(to << 1) | (from & 1));
  return T(to);
}
template <class T, class U>
MSL_INLINE T msl_extract_bits(T x, uint offset, uint count) {
  const uint bits = 8 * sizeof(T);
  return count == 0 ? T(0) : T(T(U(x) << (bits - offset - count)) >> (bits - count));
}
template <class T, class U>
MSL_INLINE T msl_insert_bits(T base, T insert, uint offset, uint count) {
  const U mask = count >= 8 * sizeof(T) ? U(~U(0)) : U(((U(1) << count) - 1) << offset);
  return T((U(base) & U(~mask)) | (U(U(insert) << offset) & mask));
}

#define MSL_INTEGER_FUNCTIONS(T, U)                                                                                  \
  MSL_INTEGER1(abs, T, x < 0 ? -x : x)                                                                               \
  MSL_INTEGER2(absdiff, T, x > y ? x - y : y - x)                                                                    \
  MSL_INTEGER2(max, T, x > y ? x : y)                                                                                \
  MSL_INTEGER2(min, T, x < y ? x : y)                                                                                \
  MSL_INTEGER3(clamp, T, x < y ? y : x > z ? z : x)                                                                  \
  MSL_INTEGER3(max3, T, max(x, max(y, z)))                                                                           \
  MSL_INTEGER3(min3, T, min(x, min(y, z)))                                                                           \
  MSL_INTEGER1(popcount, T, __builtin_popcountl((ulong)(U)x))                                                       \
  MSL_INTEGER1(clz, T, (U)x ? __builtin_clzl((ulong)(U)x) - (64 - 8 * sizeof(T)) : 8 * sizeof(T))                   \
  MSL_INTEGER1(ctz, T, (U)x ? __builtin_ctzl((ulong)(U)x) : 8 * sizeof(T))                                          \
  MSL_INTEGER2(rotate, T, (msl_rotate<T, U>(x, y)))                                                                  \
  MSL_INTEGER2(addsat, T, msl_add_saturated(x, y))                                                                   \
  MSL_INTEGER2(subsat, T, msl_subtract_saturated(x, y))                                                              \
  MSL_INTEGER2(hadd, T, ((__int128)x + (__int128)y) >> 1)                                                            \
  MSL_INTEGER2(rhadd, T, ((__int128)x + (__int128)y + 1) >> 1)                                                       \
  MSL_INTEGER2(mulhi, T, ((__int128)x * (__int128)y) >> (8 * sizeof(T)))                                             \
  MSL_INTEGER1(reverse_bits, T, (msl_reverse_bits<T, U>(x)))                                                         \
  MSL_INLINE T extract_bits(T x, uint offset, uint count) { return msl_extract_bits<T, U>(x, offset, count); }       \
  MSL_INLINE T insert_bits(T base, T insert, uint offset, uint count) { return msl_insert_bits<T, U>(base, insert, offset, count); }
MSL_INTEGER_FUNCTIONS(char, uchar)
MSL_INTEGER_FUNCTIONS(uchar, uchar)
MSL_INTEGER_FUNCTIONS(short, ushort)
MSL_INTEGER_FUNCTIONS(ushort, ushort)
MSL_INTEGER_FUNCTIONS(int, uint)
MSL_INTEGER_FUNCTIONS(uint, uint)
MSL_INTEGER_FUNCTIONS(long, ulong)
MSL_INTEGER_FUNCTIONS(ulong, ulong)
#undef MSL_INTEGER_FUNCTIONS

MSL_INLINE int mad24(int a, int b, int c) { return a * b + c; }
MSL_INLINE uint mad24(uint a, uint b, uint c) { return a * b + c; }
MSL_INLINE int mul24(int a, int b) { return a * b; }
MSL_INLINE uint mul24(uint a, uint b) { return a * b; }
MSL_INLINE int madhi(int a, int b, int c) { return mulhi(a, b) + c; }
MSL_INLINE uint madhi(uint a, uint b, uint c) { return mulhi(a, b) + c; }
}  // namespace metal
