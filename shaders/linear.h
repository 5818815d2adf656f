// What kernels of linear algebra are specialised by. x: the left operand, w: the right one.
#pragma once
#include "blocks.h"
#include "quads.h"

constant uint X_TYPE [[function_constant(0)]];
constant uint W_TYPE [[function_constant(1)]];
constant uint Y_TYPE [[function_constant(2)]];
// Of floats: rows are whole quads, at multiples of the size of one.
constant bool X_WIDE [[function_constant(3)]];
constant bool W_WIDE [[function_constant(4)]];
constant bool HAS_BIAS [[function_constant(5)]];
constant uint BIAS_TYPE [[function_constant(6)]];

inline float multiply_add(float4 a, float4 b, float sum) {
  return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum))));
}
// Elements [at, at + 4) of a row of k floats; 0 beyond k.
inline float4 quad_of_row(device const uchar *rows, uint dtype, bool wide, uint row, uint k, uint at) {
  const ulong start = ulong(row) * k;
  return load_quad(rows, dtype, wide, start + at, start + k, 0.0f);
}
