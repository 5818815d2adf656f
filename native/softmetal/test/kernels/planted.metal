#include <metal_stdlib>
using namespace metal;

// Kernels with one mistake each, and correct ones that look like them. The tests expect exactly the report named here.

kernel void barrier_forgotten(device float *y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
  threadgroup float a[64];
  a[i] = i;
  y[i] = a[63 - i];
}

kernel void barrier_there(device float *y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
  threadgroup float a[64];
  a[i] = i;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  y[i] = a[63 - i];
}

kernel void barrier_for_other_memory(device float *y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
  threadgroup float a[64];
  a[i] = i;
  threadgroup_barrier(mem_flags::mem_device);
  y[i] = a[63 - i];
}

kernel void simdgroup_barrier_forgotten(device float *y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
  threadgroup float a[64];
  a[i] = i;
  y[i] = a[i ^ 1];
}

kernel void simdgroup_barrier_there(device float *y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
  threadgroup float a[64];
  a[i] = i;
  simdgroup_barrier(mem_flags::mem_threadgroup);
  y[i] = a[i ^ 1];
}

kernel void simdgroup_barrier_too_narrow(device float *y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
  threadgroup float a[64];
  a[i] = i;
  simdgroup_barrier(mem_flags::mem_threadgroup);
  y[i] = a[i ^ 32];
}

kernel void lanes_read_then_one_writes(device float *y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
  threadgroup float a[2];
  if (i < 2) a[i] = i;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  y[i] = a[i / 32];
  simdgroup_barrier(mem_flags::mem_threadgroup);
  if (i % 32 == 0) a[i / 32] = 3;
}

kernel void never_written(device float *y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
  threadgroup float a[64];
  if (i < 32) a[i] = 1;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  y[i] = a[i];
}

kernel void threadgroup_array_overrun(device float *y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
  threadgroup float a[32];
  threadgroup float b[64];
  a[i] = 1;
  b[i] = 2;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  y[i] = a[i] + b[i];
}

kernel void two_threadgroups_write(device float *y [[buffer(0)]], uint i [[thread_index_in_threadgroup]], uint at [[thread_position_in_grid]]) {
  y[i] = at;
}

kernel void buffer_overrun(device float *y [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  y[i + 1] = 1;
}

kernel void buffer_overrun_by_far(device float *y [[buffer(0)]], constant ulong &by [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  y[i + by] = 1;
}

kernel void private_array_overrun(device float *y [[buffer(0)]], constant uint &count [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  float a[4] = {1, 2, 3, 4};
  for (uint k = 0; k < count; ++k) a[k] += y[i];
  y[i] = a[i & 3];
}

kernel void division_by_zero(device uint *y [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  y[i] = 7 / y[i];
}

kernel void early_return(device float *y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
  if (i > 40) return;
  threadgroup_barrier(mem_flags::mem_none);
  y[i] = 1;
}

kernel void different_barriers(device float *y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
  if (i < 7) {
    threadgroup_barrier(mem_flags::mem_none);
    y[i] = 1;
  } else {
    y[i] = 2;
    threadgroup_barrier(mem_flags::mem_none);
  }
}

kernel void divergent_sum(device float *y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
  float v = 1;
  if (i % 32 < 5) v = simd_sum(v);
  y[i] = simd_max(v);
}

kernel void shuffle_beyond_lanes(device float *y [[buffer(0)]], uint i [[thread_index_in_threadgroup]], ushort lane [[thread_index_in_simdgroup]]) {
  y[i] = simd_shuffle(y[i], ushort(lane + 1));
}

kernel void atomic_and_plain(device atomic_uint *count [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  if (i == 0)
    *(device uint *)count = 5;
  else
    atomic_fetch_add_explicit(count, 1u, memory_order_relaxed);
}

kernel void store(device float *y [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  y[i] = i;
}

kernel void reverse(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  y[i] = x[63 - i];
}

kernel void too_much_memory(device float *y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
  threadgroup float a[8193];
  a[i] = i;
  y[i] = a[i];
}

constant bool WANTED [[function_constant(0)]];

kernel void optional_buffer(device float *y [[buffer(0)]],
                            device float *z [[buffer(1), function_constant(WANTED)]],
                            constant uint4 &p [[buffer(2)]],
                            threadgroup float *a [[threadgroup(0)]],
                            uint i [[thread_position_in_grid]]) {
  a[i] = 1;
  y[i] = p.x;
  if (WANTED) z[i] = 1;
}

kernel void threadgroup_argument_overrun(device float *y [[buffer(0)]],
                                         threadgroup float *a [[threadgroup(0)]],
                                         threadgroup float *b [[threadgroup(1)]],
                                         uint i [[thread_index_in_threadgroup]]) {
  b[i] = 1;
  a[i] = 2;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  y[i] = a[i] + b[i];
}

kernel void misaligned_load(device uchar *y [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  device const half4 *x = (device const half4 *)(y + 2);
  if (i == 0) y[0] = x[0].x > 0;
}
