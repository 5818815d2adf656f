// What the parts of the linear kernels share: a call is a list of jobs (one for linear, one per used expert for grouped_linear),
// cut into tasks of fixed size; every output element is computed by one task.
#pragma once
#include "dot_tile.h"
#include "kernel.h"
#include "sink.h"

namespace rlx {
namespace RLX_ISA {

// Row i of a job: row xs[i] of x times weight rows [row, row + n) gives row ys[i] of y. NULL lists: i itself.
struct Job {
  size_t row;
  size_t count;
  const int32_t* xs;
  const int32_t* ys;
  size_t x_row(size_t i) const { return xs ? static_cast<size_t>(xs[i]) : i; }
  size_t y_row(size_t i) const { return ys ? static_cast<size_t>(ys[i]) : i; }
};
struct Jobs {
  const Job* list;
  size_t count;
  size_t most;  // rows of the longest job
};

// x as f32 rows of k values.
void float_linear(const Jobs& jobs, const float* x, const rlx_tensor& w, size_t n, size_t k, const Sink& sink, rlx_pool* pool);

// Rows of x quantized to int8 in blocks of 32: x = d q. `correction` is minus the block's sum of q times the weights' bias.
struct QuantRows {
  int8_t* q;
  float* d;
  int32_t* correction;
  size_t blocks;
};
size_t quant_scratch(size_t rows, size_t k);
// Quantizes `rows` rows of x (any float dtype) into scratch. `bias`: what the packed weights have been shifted by.
QuantRows quantize_rows(const uint8_t* x, int32_t dtype, size_t rows, size_t k, int32_t bias, uint8_t* scratch, rlx_pool* pool);
// w: packed by pack.cpp.
void quant_linear(const Jobs& jobs, const QuantRows& x, const rlx_tensor& w, size_t n, const Sink& sink, rlx_pool* pool);

}  // namespace RLX_ISA
}  // namespace rlx
