// The kernel `matmul`: a [.., m, k] times b [.., k, n], or [.., n, k] transposed; leading axes broadcast. All of one float dtype.
//   params: how many of the inputs are the op's own, b is transposed. blob: bytecode of the epilogue, whose operands the other inputs are
//   scratch: a as f32, unless it is that
#include "families.h"
#include "gemm.h"
#include "shape.h"
#include "sink.h"

namespace rlx {
namespace RLX_ISA {
namespace {

struct Call {
  const rlx_tensor *a, *b, *out;
  const float* rows;  // of a, as f32
  const Sink* sink;
  size_t batch, m, n, k;
  bool transposed;
};

// Index of the matrix of t that belongs to matrix `index` of out.
size_t matrix_of(const rlx_tensor& t, const rlx_tensor& out, size_t index) {
  size_t at = 0, stride = 1;
  for (int32_t axis = out.rank - 3; axis >= 0; axis--) {
    const size_t extent = static_cast<size_t>(out.dims[axis]);
    const int32_t own = axis - (out.rank - t.rank);
    if (own >= 0 && t.dims[own] != 1) {
      at += index % extent * stride;
      stride *= static_cast<size_t>(t.dims[own]);
    }
    index /= extent;
  }
  return at;
}

void run_task(void* context, size_t task) {
  const Call& c = *static_cast<const Call*>(context);
  const size_t row_blocks = (c.m + kRowBlock - 1) / kRowBlock;
  const size_t chunks = (c.n + kChunk - 1) / kChunk;
  const size_t matrix = task / (row_blocks * chunks);
  const size_t col = task / row_blocks % chunks * kChunk;
  const size_t row = task % row_blocks * kRowBlock;
  const size_t rows = c.m - row < kRowBlock ? c.m - row : kRowBlock;
  const size_t cols = c.n - col < kChunk ? c.n - col : kChunk;
  const float* x[kRowBlock];
  for (size_t i = 0; i < rows; i++) x[i] = c.rows + (matrix_of(*c.a, *c.out, matrix) * c.m + row + i) * c.k;
  float sums[kRowBlock * kChunk];
  if (c.k == 0) memset(sums, 0, sizeof sums);  // sums of nothing
  with_float_type(c.b->dtype, [&](auto type) {
    using W = decltype(type);
    const auto* b = reinterpret_cast<const typename W::type*>(c.b->data) + matrix_of(*c.b, *c.out, matrix) * c.n * c.k;
    const auto load = [&](size_t j, size_t count, size_t k, size_t depth, float* strip) {
      if (c.transposed) {
        for (size_t i = 0; i < count; i++) load_row<W>(b + (col + j + i) * c.k + k, depth, strip + i * kDepth);
        return;
      }
      for (size_t d = 0; d < depth; d++) {
        float line[kTileCols];
        load_row<W>(b + (k + d) * c.n + col + j, count, line);
        for (size_t i = 0; i < count; i++) strip[i * kDepth + d] = line[i];
      }
    };
    gemm_block(x, rows, cols, c.k, load, sums);
  });
  for (size_t i = 0; i < rows; i++) c.sink->finish(matrix * c.m + row + i, col, sums + i * kChunk, cols);
}

// One row of an f64 product.
void run_row_f64(void* context, size_t index) {
  const Call& c = *static_cast<const Call*>(context);
  const size_t matrix = index / c.m;
  const double* a = reinterpret_cast<const double*>(c.a->data) + (matrix_of(*c.a, *c.out, matrix) * c.m + index % c.m) * c.k;
  const double* b = reinterpret_cast<const double*>(c.b->data) + matrix_of(*c.b, *c.out, matrix) * c.n * c.k;
  double* y = reinterpret_cast<double*>(c.out->data) + index * c.n;
  for (size_t j = 0; j < c.n; j++) y[j] = 0.0;
  if (c.transposed) {
    for (size_t j = 0; j < c.n; j++)
      for (size_t k = 0; k < c.k; k++) y[j] += a[k] * b[j * c.k + k];
    return;
  }
  for (size_t k = 0; k < c.k; k++)
    for (size_t j = 0; j < c.n; j++) y[j] += a[k] * b[k * c.n + j];
}

// Leading axes of t broadcast to those of out.
bool broadcasts(const rlx_tensor& t, const rlx_tensor& out) {
  if (t.rank < 2 || t.rank > out.rank) return false;
  for (int32_t i = 0; i < t.rank - 2; i++)
    if (t.dims[i] != 1 && t.dims[i] != out.dims[i + out.rank - t.rank]) return false;
  return true;
}

const char* check(const rlx_args* args) {
  if (args->n_in < 2 || args->n_out != 1 || args->n_params < 2) return "operands";
  const rlx_tensor &a = args->in[0], &b = args->in[1], &out = args->out[0];
  if (!a.data || !b.data || !out.data || !broadcasts(a, out) || !broadcasts(b, out)) return "operands do not broadcast";
  const bool transposed = args->params[1] != 0;
  const int64_t k = b.dims[b.rank - (transposed ? 1 : 2)], n = b.dims[b.rank - (transposed ? 2 : 1)];
  if (a.dims[a.rank - 1] != k || a.dims[a.rank - 2] != out.dims[out.rank - 2] || n != out.dims[out.rank - 1]) return "shapes do not agree";
  if (a.dtype != b.dtype || !RLX_BASE::is_float(a.dtype)) return "expected floats of one dtype";
  return a.dtype != RLX_F64 || (out.dtype == RLX_F64 && args->blob_bytes == 0) ? nullptr : "f64 has no epilogue";
}

const char* matmul(const rlx_args* args) {
  if (const char* error = check(args)) return error;
  const rlx_tensor& a = args->in[0];
  const rlx_tensor& out = args->out[0];
  Call c{&a, &args->in[1], &out, reinterpret_cast<const float*>(a.data), nullptr, 1, 0, 0, 0, args->params[1] != 0};
  c.m = static_cast<size_t>(out.dims[out.rank - 2]);
  c.n = static_cast<size_t>(out.dims[out.rank - 1]);
  c.k = static_cast<size_t>(a.dims[a.rank - 1]);
  for (int32_t i = 0; i < out.rank - 2; i++) c.batch *= static_cast<size_t>(out.dims[i]);
  if (c.batch * c.m * c.n == 0) return nullptr;
  if (a.dtype == RLX_F64) {
    rlx_parallel(args->pool, c.batch * c.m, run_row_f64, &c);
    return nullptr;
  }
  if (a.dtype != RLX_F32) {
    const size_t count = RLX_BASE::elements(a);
    if (args->scratch_bytes < count * sizeof(float)) return "scratch is too small";
    float* rows = reinterpret_cast<float*>(args->scratch);
    to_f32(a.dtype, a.data, count, rows);
    c.rows = rows;
  }
  Sink sink;
  if (const char* error = sink.bind(args, a.dtype, nullptr, c.n, RLX_BASE::size_param(args, 0))) return error;
  c.sink = &sink;
  rlx_parallel(args->pool, c.batch * ((c.m + kRowBlock - 1) / kRowBlock) * ((c.n + kChunk - 1) / kChunk), run_task, &c);
  return nullptr;
}

const rlx_kernel_entry kKernels[] = {{"matmul", matmul}};

}  // namespace

rlx_kernel_list matmul_kernels() { return {kKernels, sizeof kKernels / sizeof *kKernels}; }

}  // namespace RLX_ISA
}  // namespace rlx
