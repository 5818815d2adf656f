// Elements of any dtype as f32, f64 or i64 values and back, for runs of elements.
#pragma once
#include "kernel.h"

namespace rlx {
namespace RLX_BASE {

// values[i] = element index + i * stride of data, for i < n. Not for block formats.
template <class T>
void load_run(T* values, const uint8_t* data, int32_t dtype, int64_t index, int64_t stride, size_t n);

// Elements [index, index + n) of data = values. Floats round to nearest even; floats to integers truncate and saturate, NaN gives 0;
// integers wrap; bools test != 0.
template <class T>
void store_run(uint8_t* data, int32_t dtype, size_t index, const T* values, size_t n);

// The dtype whose elements are T.
template <class T>
constexpr int32_t class_dtype() {
  return sizeof(T) == 4 ? RLX_F32 : static_cast<T>(0.5) != 0 ? RLX_F64 : RLX_I64;
}

// The value of f16 bits.
float half_to_f32(uint16_t bits);

// Bytes of one element; 0 for block formats.
size_t element_bytes(int32_t dtype);
static inline bool is_float(int32_t dtype) { return dtype >= RLX_F32 && dtype <= RLX_F64; }
static inline bool is_int(int32_t dtype) { return dtype >= RLX_I8 && dtype <= RLX_I64; }

}  // namespace RLX_BASE
}  // namespace rlx
