#include "convert.h"

#include "simd.h"

namespace rlx {
namespace RLX_BASE {
namespace {

// Round to f32 so that a second rounding, to fewer bits, gives what one rounding would have: to odd.
inline float round_to_odd(double d) {
  const float f = static_cast<float>(d);
  if (static_cast<double>(f) == d || d != d) return f;
  uint32_t bits;
  memcpy(&bits, &f, 4);
  // Toward zero, then the lowest bit says that something was cut off.
  if (fabs(static_cast<double>(f)) > fabs(d)) bits--;
  bits |= 1;
  float out;
  memcpy(&out, &bits, 4);
  return out;
}

inline float round_to_odd(float f) { return f; }
inline float round_to_odd(int64_t v) {
  double d = static_cast<double>(v);
  const double limit = 9223372036854775808.0;
  if (d == limit || static_cast<int64_t>(d) != v) {
    const bool up = d == limit || (v < 0 ? static_cast<int64_t>(d) < v : static_cast<int64_t>(d) > v);
    int64_t bits;
    memcpy(&bits, &d, 8);
    bits = (up ? bits - 1 : bits) | 1;
    memcpy(&d, &bits, 8);
  }
  return round_to_odd(d);
}

inline uint16_t half_bits(float x) {
  uint16_t out;
  store_f16_n(&out, set1(x), 1);
  return out;
}
inline uint16_t bf16_bits(float x) {
  uint16_t out;
  store_bf16_n(&out, set1(x), 1);
  return out;
}
inline float half_value(uint16_t h) {
  float lanes[kLanes];
  store(lanes, load_f16_n(&h, 1));
  return lanes[0];
}
inline float bf16_value(uint16_t h) {
  const uint32_t bits = static_cast<uint32_t>(h) << 16;
  float out;
  memcpy(&out, &bits, 4);
  return out;
}

// A float as an integer of type I: truncated, saturated, NaN as 0.
template <class I, class T>
inline I saturate(T v) {
  constexpr I low = static_cast<I>(static_cast<I>(-1) < 0 ? static_cast<I>(static_cast<uint64_t>(1) << (sizeof(I) * 8 - 1)) : 0);
  constexpr I high = static_cast<I>(~low);
  // 2^bits is exact where `high` is not.
  const double limit = sizeof(I) == 8 ? 9223372036854775808.0 : static_cast<double>(high) + 1;
  const double d = static_cast<double>(v);
  if (d != d) return 0;
  return d >= limit ? high : d <= static_cast<double>(low) ? low : static_cast<I>(d);
}

template <class I, class T>
inline I to_int(T v) {
  if constexpr (static_cast<T>(0.5) != 0) return saturate<I>(v);
  else return static_cast<I>(v);
}
template <class T, class S>
inline T from(S v) {
  if constexpr (static_cast<S>(0.5) != 0 && static_cast<T>(0.5) == 0) return saturate<int64_t>(v);
  else return static_cast<T>(v);
}

template <class T, class S>
void load_as(T* values, const uint8_t* data, int64_t index, int64_t stride, size_t n) {
  const S* p = reinterpret_cast<const S*>(data) + index;
  if (stride == 1)
    for (size_t i = 0; i < n; i++) values[i] = from<T>(p[i]);
  else
    for (size_t i = 0; i < n; i++) values[i] = from<T>(p[static_cast<int64_t>(i) * stride]);
}

template <class T, bool Brain>
void load_half(T* values, const uint8_t* data, int64_t index, int64_t stride, size_t n) {
  const uint16_t* p = reinterpret_cast<const uint16_t*>(data) + index;
  size_t i = 0;
  if (stride == 1)
    for (float lanes[kLanes]; i + kLanes <= n; i += kLanes) {
      store(lanes, Brain ? load_bf16(p + i) : load_f16(p + i));
      for (size_t k = 0; k < static_cast<size_t>(kLanes); k++) values[i + k] = from<T>(lanes[k]);
    }
  for (; i < n; i++) {
    const uint16_t bits = p[static_cast<int64_t>(i) * stride];
    values[i] = from<T>(Brain ? bf16_value(bits) : half_value(bits));
  }
}

template <class T, bool Brain>
void store_half(uint8_t* data, size_t index, const T* values, size_t n) {
  uint16_t* p = reinterpret_cast<uint16_t*>(data) + index;
  size_t i = 0;
  if constexpr (sizeof(T) == 4) {
    for (; i + kLanes <= n; i += kLanes) {
      if (Brain) store_bf16(p + i, load(values + i));
      else store_f16(p + i, load(values + i));
    }
  }
  for (; i < n; i++) {
    const float f = round_to_odd(values[i]);
    p[i] = Brain ? bf16_bits(f) : half_bits(f);
  }
}

template <class T, class S>
void store_int(uint8_t* data, size_t index, const T* values, size_t n) {
  S* p = reinterpret_cast<S*>(data) + index;
  for (size_t i = 0; i < n; i++) p[i] = to_int<S>(values[i]);
}

}  // namespace

float half_to_f32(uint16_t bits) { return half_value(bits); }

size_t element_bytes(int32_t dtype) {
  constexpr uint8_t bytes[] = {4, 2, 2, 8, 1, 1, 2, 4, 4, 8, 1};
  return dtype >= 0 && dtype <= RLX_BOOL ? bytes[dtype] : 0;
}

template <class T>
void load_run(T* v, const uint8_t* data, int32_t dtype, int64_t index, int64_t stride, size_t n) {
  switch (dtype) {
    case RLX_F32: return load_as<T, float>(v, data, index, stride, n);
    case RLX_F64: return load_as<T, double>(v, data, index, stride, n);
    case RLX_F16: return load_half<T, false>(v, data, index, stride, n);
    case RLX_BF16: return load_half<T, true>(v, data, index, stride, n);
    case RLX_I8: return load_as<T, int8_t>(v, data, index, stride, n);
    case RLX_U8:
    case RLX_BOOL: return load_as<T, uint8_t>(v, data, index, stride, n);
    case RLX_I16: return load_as<T, int16_t>(v, data, index, stride, n);
    case RLX_I32: return load_as<T, int32_t>(v, data, index, stride, n);
    case RLX_U32: return load_as<T, uint32_t>(v, data, index, stride, n);
    default: return load_as<T, int64_t>(v, data, index, stride, n);
  }
}

template <class T>
void store_run(uint8_t* data, int32_t dtype, size_t index, const T* v, size_t n) {
  switch (dtype) {
    case RLX_F32: {
      float* p = reinterpret_cast<float*>(data) + index;
      for (size_t i = 0; i < n; i++) p[i] = static_cast<float>(v[i]);
      return;
    }
    case RLX_F64: {
      double* p = reinterpret_cast<double*>(data) + index;
      for (size_t i = 0; i < n; i++) p[i] = static_cast<double>(v[i]);
      return;
    }
    case RLX_F16: return store_half<T, false>(data, index, v, n);
    case RLX_BF16: return store_half<T, true>(data, index, v, n);
    case RLX_I8: return store_int<T, int8_t>(data, index, v, n);
    case RLX_U8: return store_int<T, uint8_t>(data, index, v, n);
    case RLX_I16: return store_int<T, int16_t>(data, index, v, n);
    case RLX_I32: return store_int<T, int32_t>(data, index, v, n);
    case RLX_U32: return store_int<T, uint32_t>(data, index, v, n);
    case RLX_BOOL:
      for (size_t i = 0; i < n; i++) data[index + i] = v[i] != 0;
      return;
    default: return store_int<T, int64_t>(data, index, v, n);
  }
}

#define RLX_INSTANCES(T)                                                                   \
  template void load_run<T>(T*, const uint8_t*, int32_t, int64_t, int64_t, size_t);        \
  template void store_run<T>(uint8_t*, int32_t, size_t, const T*, size_t);
RLX_INSTANCES(float)
RLX_INSTANCES(double)
RLX_INSTANCES(int64_t)

}  // namespace RLX_BASE
}  // namespace rlx
