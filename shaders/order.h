// The order of elements as argmax, topk and moe_route see it: NaN above everything else and equal to itself, zeros equal.
#pragma once
#include "common.h"

// Floats as numbers that sort like them.
inline uint order_of(float v) {
  if (isnan(v)) return 0xffffffffu;
  const uint bits = as_type<uint>(v == 0.0f ? 0.0f : v);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}
// The bits of an f64.
inline ulong order_of_f64(ulong bits) {
  const ulong size = bits & 0x7ffffffffffffffful;
  if (size > 0x7ff0000000000000ul) return 0xfffffffffffffffful;
  return size == 0 ? 0x8000000000000000ul : size == bits ? bits | 0x8000000000000000ul : ~bits;
}
// Of an element of any dtype; those of 4 bytes and less fill the low half only.
inline ulong order_at(device const uchar *x, uint dtype, ulong at) {
  switch (dtype) {
    case F32:
    case F16:
    case BF16: return order_of(load_float(x, dtype, at));
    case F64: return order_of_f64(((device const ulong *)x)[at]);
    case I64: return ulong(load_int(x, dtype, at)) ^ 0x8000000000000000ul;
    case U32: return ulong(load_int(x, dtype, at));
    default: return uint(load_int(x, dtype, at)) ^ 0x80000000u;
  }
}
