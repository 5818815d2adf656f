// What kernels of linear algebra are specialised by. x: the left operand, w: the right one.
#pragma once
#include "blocks.h"

constant uint X_TYPE [[function_constant(0)]];
constant uint W_TYPE [[function_constant(1)]];
constant uint Y_TYPE [[function_constant(2)]];
// Rows are whole quads (of w's block format: whole runs) at multiples of their size: one load takes four values (16 bytes).
constant bool X_WIDE [[function_constant(3)]];
constant bool W_WIDE [[function_constant(4)]];
constant bool HAS_BIAS [[function_constant(5)]];
constant uint BIAS_TYPE [[function_constant(6)]];

inline float multiply_add(float4 a, float4 b, float sum) {
  return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum))));
}
