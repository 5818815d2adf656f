// y = x w^T with float weights, read row-major as they are stored in the file.
#include "linear.h"

namespace rlx {
namespace RLX_ISA {
namespace {

constexpr size_t kFewRows = kTileRows;                // up to here weights are converted in registers: each is used once
constexpr size_t kGemvCols = 8;                       // independent sums for one row
constexpr size_t kRowBlock = 64;                      // rows of x per task: with kDepth columns they stay in L2
constexpr size_t kChunk = 8 * kTileCols;              // weight rows per task
static_assert(kChunk % kGemvCols == 0, "a chunk is whole groups of columns");

struct Call {
  const Jobs* jobs;
  const float* x;
  const uint8_t* w;
  int32_t dtype;
  const Sink* sink;
  size_t n, k, chunk, chunks, row_blocks;
};

template <class W, size_t N>
void few_rows(const float* const* x, size_t rows, const typename W::type* const* w, size_t depth, float* out) {
  switch (rows) {
    case 1: return dot_tile<W, 1, N>(x, w, depth, out);
    case 2: return dot_tile<W, 2, N>(x, w, depth, out);
    case 3: return dot_tile<W, 3, N>(x, w, depth, out);
    default: return dot_tile<W, 4, N>(x, w, depth, out);
  }
}

// Adds a tile to the sums; the first block of k sets them.
void accumulate(float* sums, size_t stride, const float* tile, size_t rows, size_t cols, size_t tile_cols, bool first) {
  for (size_t i = 0; i < rows; i++)
    for (size_t j = 0; j < cols; j++) {
      float& s = sums[i * stride + j];
      s = first ? tile[i * tile_cols + j] : s + tile[i * tile_cols + j];
    }
}

// Rows beyond the last are the last again; their results are dropped.
template <class T>
void row_pointers(const T* base, size_t stride, size_t count, size_t wanted, const T** out) {
  for (size_t i = 0; i < wanted; i++) out[i] = base + (i < count ? i : count - 1) * stride;
}

template <class W>
void gemv_task(const Call& c, const float* x, const typename W::type* w, size_t cols, float* sums) {
  using T = typename W::type;
  for (size_t j = 0; j < cols; j += kGemvCols) {
    const size_t n = cols - j < kGemvCols ? cols - j : kGemvCols;
    const T* rows[kGemvCols];
    row_pointers(w + j * c.k, c.k, n, kGemvCols, rows);
    for (size_t k = 0; k < c.k; k += kDepth) {
      const size_t depth = c.k - k < kDepth ? c.k - k : kDepth;
      const float* xs = x + k;
      float tile[kGemvCols];
      dot_tile<W, 1, kGemvCols>(&xs, rows, depth, tile);
      accumulate(sums + j, 0, tile, 1, n, kGemvCols, k == 0);
      for (size_t i = 0; i < kGemvCols; i++) rows[i] += depth;
    }
  }
}

template <class W>
void gemm_task(const Call& c, const float* const* x, size_t rows, const typename W::type* w, size_t cols, float* sums) {
  using T = typename W::type;
  const bool convert = rows > kFewRows;
  alignas(64) float strip[kTileCols * kDepth];
  float tile[kTileRows * kTileCols];
  for (size_t k = 0; k < c.k; k += kDepth) {
    const size_t depth = c.k - k < kDepth ? c.k - k : kDepth;
    for (size_t j = 0; j < cols; j += kTileCols) {
      const size_t n = cols - j < kTileCols ? cols - j : kTileCols;
      const T* raw[kTileCols];
      const float* converted[kTileCols];
      row_pointers(w + j * c.k + k, c.k, n, kTileCols, raw);
      row_pointers(strip, kDepth, n, kTileCols, converted);
      if (convert)
        for (size_t i = 0; i < n; i++) load_row<W>(raw[i], depth, strip + i * kDepth);
      for (size_t i = 0; i < rows; i += kTileRows) {
        const size_t m = rows - i < kTileRows ? rows - i : kTileRows;
        const float* xs[kTileRows];
        for (size_t r = 0; r < m; r++) xs[r] = x[i + r] + k;
        if (convert) few_rows<F32, kTileCols>(xs, m, converted, depth, tile);
        else few_rows<W, kTileCols>(xs, m, raw, depth, tile);
        accumulate(sums + i * kChunk + j, kChunk, tile, m, n, kTileCols, k == 0);
      }
    }
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
  if (c.k == 0) memset(sums, 0, sizeof sums);
  with_float_type(c.dtype, [&](auto type) {
    using W = decltype(type);
    const auto* w = reinterpret_cast<const typename W::type*>(c.w) + (job.row + col) * c.k;
    if (rows == 1) gemv_task<W>(c, x[0], w, cols, sums);
    else gemm_task<W>(c, x, rows, w, cols, sums);
  });
  for (size_t i = 0; i < rows; i++) c.sink->finish(job.y_row(row + i), col, sums + i * kChunk, cols);
}

}  // namespace

void float_linear(const Jobs& jobs, const float* x, const rlx_tensor& w, size_t n, size_t k, const Sink& sink, rlx_pool* pool) {
  Call call{&jobs, x, w.data, w.dtype, &sink, n, k, 0, 0, 0};
  // Fewer weight rows per task where a task is short, so that there are enough tasks.
  call.chunk = jobs.most <= kFewRows ? kChunk / 2 : kChunk;
  call.chunks = (n + call.chunk - 1) / call.chunk;
  call.row_blocks = (jobs.most + kRowBlock - 1) / kRowBlock;
  rlx_parallel(pool, jobs.count * call.chunks * call.row_blocks, run_task, &call);
}

}  // namespace RLX_ISA
}  // namespace rlx
