#include <metal_stdlib>
using namespace metal;

// Counts into bins, first in threadgroup memory, then in device memory; the float sum and the maximum go through atomics too.
kernel void histogram(device const uint *values [[buffer(0)]],
                      device atomic_uint *bins [[buffer(1)]],
                      device atomic_float *sum [[buffer(2)]],
                      device atomic_uint *largest [[buffer(3)]],
                      constant uint &count [[buffer(4)]],
                      uint i [[thread_position_in_grid]],
                      uint own [[thread_index_in_threadgroup]]) {
  threadgroup atomic_uint local[8];
  if (own < 8) atomic_store_explicit(&local[own], 0u, memory_order_relaxed);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (i < count) {
    atomic_fetch_add_explicit(&local[values[i] % 8], 1u, memory_order_relaxed);
    atomic_fetch_add_explicit(sum, 0.5f, memory_order_relaxed);
    atomic_fetch_max_explicit(largest, values[i], memory_order_relaxed);
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (own < 8) atomic_fetch_add_explicit(&bins[own], atomic_load_explicit(&local[own], memory_order_relaxed), memory_order_relaxed);
}
