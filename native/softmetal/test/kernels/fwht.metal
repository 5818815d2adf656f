#include <metal_stdlib>
using namespace metal;

constant uint DIM [[function_constant(0)]];
constant bool WANT_NORM [[function_constant(1)]];
constant float SCALE = is_function_constant_defined(DIM) ? rsqrt(float(DIM)) : 1.0f;
constant uint MAX_DIM = 512;

// Walsh-Hadamard transform of one vector per threadgroup, butterflies in threadgroup memory, then the L2 norm by a tree.
kernel void fwht(device const float *x [[buffer(0)]],
                 device float *y [[buffer(1)]],
                 device float *norms [[buffer(2), function_constant(WANT_NORM)]],
                 threadgroup float *partial [[threadgroup(0)]],
                 uint vector [[threadgroup_position_in_grid]],
                 uint thread_index [[thread_index_in_threadgroup]],
                 uint threads [[threads_per_threadgroup]]) {
  threadgroup float values[MAX_DIM];
  for (uint i = thread_index; i < DIM; i += threads) values[i] = x[vector * DIM + i];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint h = 1; h < DIM; h <<= 1) {
    for (uint k = thread_index; k < DIM / 2; k += threads) {
      uint i = (k / h) * (h * 2) + (k % h);
      float a = values[i], b = values[i + h];
      values[i] = a + b;
      values[i + h] = a - b;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }
  float sum = 0;
  for (uint i = thread_index; i < DIM; i += threads) {
    float v = values[i] * SCALE;
    y[vector * DIM + i] = v;
    sum += v * v;
  }
  if (!WANT_NORM) return;
  partial[thread_index] = sum;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint k = threads / 2; k > 0; k >>= 1) {
    if (thread_index < k) partial[thread_index] += partial[thread_index + k];
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }
  if (thread_index == 0) norms[vector] = sqrt(partial[0]);
}
