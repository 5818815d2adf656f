// Rows of floats, four elements at a time. A team works on a row; the quads of a row have the same threads in every pass.
#pragma once
#include "quads.h"
#include "teams.h"

constant bool VECTOR [[function_constant(1)]];  // rows are whole quads, and all operands lie at multiples of their size

inline float4 load_quad(device const uchar *data, uint dtype, ulong at, ulong end, float fill) { return load_quad(data, dtype, VECTOR, at, end, fill); }
inline void store_quad(device uchar *data, uint dtype, ulong at, ulong end, float4 v) { store_quad(data, dtype, VECTOR, at, end, v); }
