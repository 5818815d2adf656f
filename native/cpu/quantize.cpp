// Activations to int8, per row and block of 32.
#include "linear.h"

namespace rlx {
namespace RLX_ISA {
namespace {

constexpr size_t kBlock = 32;
constexpr size_t kRowsPerTask = 8;
constexpr size_t align64(size_t n) { return (n + 63) & ~static_cast<size_t>(63); }

struct Call {
  const uint8_t* x;
  int32_t dtype;
  size_t rows, k;
  int32_t bias;
  QuantRows out;
};

void quantize_block(const float* x, int32_t bias, int8_t* q, float* d, int32_t* correction) {
  constexpr size_t kVectors = kBlock / kLanes;
  vf v[kVectors];
  vf peak = set1(0.0f);
  vf zero = set1(0.0f);
  RLX_UNROLL
  for (size_t i = 0; i < kVectors; i++) {
    v[i] = load(x + i * kLanes);
    peak = max(peak, abs(v[i]));
    zero = fma(v[i], set1(0.0f), zero);
  }
  // A NaN or an infinity makes all products of its block NaN.
  const float poison = reduce_add(zero);
  if (poison != 0.0f) {
    memset(q, 0, kBlock);
    *d = poison;
    *correction = 0;
    return;
  }
  const float scale = reduce_max(peak) / 127.0f;
  const vf inverse = set1(scale != 0.0f ? 1.0f / scale : 0.0f);
  vi sum = set1i(0);
  RLX_UNROLL
  for (size_t i = 0; i < kVectors; i++) {
    const vi r = to_int(v[i] * inverse);
    sum = sum + r;
    store_s8(q + i * kLanes, r);
  }
  *d = scale;
  *correction = -bias * reduce_addi(sum);
}

void quantize_task(void* context, size_t index) {
  const Call& c = *static_cast<const Call*>(context);
  for (size_t r = index * kRowsPerTask; r < c.rows && r < (index + 1) * kRowsPerTask; r++) {
    const uint8_t* row = c.x + r * c.k * float_bytes(c.dtype);
    for (size_t b = 0; b < c.out.blocks; b++) {
      float x[kBlock];
      to_f32(c.dtype, row + b * kBlock * float_bytes(c.dtype), kBlock, x);
      const size_t at = r * c.out.blocks + b;
      quantize_block(x, c.bias, c.out.q + at * kBlock, c.out.d + at, c.out.correction + at);
    }
  }
}

}  // namespace

size_t quant_scratch(size_t rows, size_t k) { return align64(rows * k) + 2 * align64(rows * (k / kBlock) * 4); }

QuantRows quantize_rows(const uint8_t* x, int32_t dtype, size_t rows, size_t k, int32_t bias, uint8_t* scratch, rlx_pool* pool) {
  Call call{x, dtype, rows, k, bias, {}};
  call.out.blocks = k / kBlock;
  call.out.q = reinterpret_cast<int8_t*>(scratch);
  call.out.d = reinterpret_cast<float*>(scratch + align64(rows * k));
  call.out.correction = reinterpret_cast<int32_t*>(scratch + align64(rows * k) + align64(rows * call.out.blocks * 4));
  rlx_parallel(pool, (rows + kRowsPerTask - 1) / kRowsPerTask, quantize_task, &call);
  return call.out;
}

}  // namespace RLX_ISA
}  // namespace rlx
