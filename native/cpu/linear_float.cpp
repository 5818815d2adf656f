// y = x w^T with float weights, read row-major as they are stored in the file.
#include "gemm.h"
#include "linear.h"

namespace rlx {
namespace RLX_ISA {
namespace {

struct Call {
  const Jobs* jobs;
  const float* x;
  const uint8_t* w;
  int32_t dtype;
  const Sink* sink;
  size_t n, k, chunk, chunks, row_blocks;
};

// One row after the other: a single stream is what the prefetchers follow best (measured: 2.5 times four streams).
template <class W>
void gemv_task(const Call& c, const float* x, const typename W::type* w, size_t cols, float* sums) {
  for (size_t j = 0; j < cols; j++) {
    float sum = 0.0f;
    for (size_t k = 0; k < c.k; k += kDepth) {
      const float* xs = x + k;
      const auto* ws = w + j * c.k + k;
      float part;
      dot_tile<W, 1, 1>(&xs, &ws, c.k - k < kDepth ? c.k - k : kDepth, &part);
      sum = k == 0 ? part : sum + part;
    }
    sums[j] = sum;
  }
}

void run_task(void* context, size_t index) {
  const Call& c = *static_cast<const Call*>(context);
  const size_t per_job = c.chunks * c.row_blocks;
  const Job& job = c.jobs->list[index / per_job];
  const size_t col = index % per_job / c.row_blocks * c.chunk;
  const size_t row = index % c.row_blocks * kRowBlock;
  if (row >= job.count) return;
  const size_t cols = c.n - col < c.chunk ? c.n - col : c.chunk;
  const size_t rows = job.count - row < kRowBlock ? job.count - row : kRowBlock;
  const float* x[kRowBlock];
  for (size_t i = 0; i < rows; i++) x[i] = c.x + job.x_row(row + i) * c.k;
  float sums[kRowBlock * kChunk];
  if (c.k == 0) memset(sums, 0, sizeof sums);  // sums of nothing
  with_float_type(c.dtype, [&](auto type) {
    using W = decltype(type);
    const auto* w = reinterpret_cast<const typename W::type*>(c.w) + (job.row + col) * c.k;
    if (rows == 1) {
      gemv_task<W>(c, x[0], w, cols, sums);
      return;
    }
    const auto load = [&](size_t j, size_t count, size_t k, size_t depth, float* strip) {
      for (size_t i = 0; i < count; i++) load_row<W>(w + (j + i) * c.k + k, depth, strip + i * kDepth);
    };
    gemm_block(x, rows, cols, c.k, load, sums);
  });
  for (size_t i = 0; i < rows; i++) c.sink->finish(job.y_row(row + i), col, sums + i * kChunk, cols);
}

}  // namespace

void float_linear(const Jobs& jobs, const float* x, const rlx_tensor& w, size_t n, size_t k, const Sink& sink, rlx_pool* pool) {
  Call call{&jobs, x, w.data, w.dtype, &sink, n, k, 0, 0, 0};
  // A task for one row is short: more of them, to share evenly.
  call.chunk = jobs.most == 1 ? kChunk / 2 : kChunk;
  call.chunks = (n + call.chunk - 1) / call.chunk;
  call.row_blocks = (jobs.most + kRowBlock - 1) / kRowBlock;
  rlx_parallel(pool, jobs.count * call.chunks * call.row_blocks, run_task, &call);
}

}  // namespace RLX_ISA
}  // namespace rlx
