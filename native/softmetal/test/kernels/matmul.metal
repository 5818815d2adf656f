#include <metal_stdlib>
#include <metal_simdgroup_matrix>
using namespace metal;

struct MatmulParams {
  uint M, N, K;
};

// C[M, N] = A[M, K] (half) x B[K, N] (bfloat): a 16x16 tile per simdgroup out of 8x8 matrices; edges through threadgroup memory.
kernel void matmul_f16_bf16(device const half *A [[buffer(0)]],
                            device const bfloat *B [[buffer(1)]],
                            device float *C [[buffer(2)]],
                            constant MatmulParams &p [[buffer(3)]],
                            uint2 tile [[threadgroup_position_in_grid]],
                            ushort lane [[thread_index_in_simdgroup]]) {
  threadgroup half tile_a[16 * 8];
  threadgroup half tile_b[8 * 16];
  threadgroup float tile_c[16 * 16];
  simdgroup_float8x8 sums[2][2];
  for (ushort i = 0; i < 2; ++i)
    for (ushort j = 0; j < 2; ++j) sums[i][j] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
  const uint row0 = tile.y * 16, column0 = tile.x * 16;
  for (uint k0 = 0; k0 < p.K; k0 += 8) {
    for (uint i = lane; i < 128; i += 32) {
      uint row = row0 + i / 8, k = k0 + i % 8;
      tile_a[i] = (row < p.M && k < p.K) ? A[row * p.K + k] : half(0);
    }
    for (uint i = lane; i < 128; i += 32) {
      uint k = k0 + i / 16, column = column0 + i % 16;
      tile_b[i] = (k < p.K && column < p.N) ? half(float(B[k * p.N + column])) : 0.0h;
    }
    simdgroup_barrier(mem_flags::mem_threadgroup);
    simdgroup_half8x8 a, b;
    for (ushort i = 0; i < 2; ++i) {
      simdgroup_load(a, tile_a + i * 64, 8);
      for (ushort j = 0; j < 2; ++j) {
        simdgroup_load(b, tile_b + j * 8, 16);
        simdgroup_multiply_accumulate(sums[i][j], a, b, sums[i][j]);
      }
    }
    simdgroup_barrier(mem_flags::mem_threadgroup);
  }
  for (ushort i = 0; i < 2; ++i)
    for (ushort j = 0; j < 2; ++j) simdgroup_store(sums[i][j], tile_c + i * 128 + j * 8, 16);
  simdgroup_barrier(mem_flags::mem_threadgroup);
  for (uint i = lane; i < 256; i += 32) {
    uint row = row0 + i / 16, column = column0 + i % 16;
    if (row < p.M && column < p.N) C[row * p.N + column] = tile_c[i];
  }
}
