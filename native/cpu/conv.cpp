// The kernel `conv1d`: x [N, C, L], w [Cout, C / groups, K], bias [Cout] or absent, gives [N, Cout, Lout].
//   params: how many of the inputs are the op's own, stride, padding, dilation, groups. blob: bytecode of the epilogue, whose operands
//   the other inputs are.
//   scratch: x as f32 with positions outermost, [N, groups, L + 2 padding, C / groups], padding included; then w as f32,
//   [Cout, K, C / groups]. So the window of a position is K runs of channels, and without dilation one run: the product needs no
//   matrix of windows.
#include "families.h"
#include "gemm.h"
#include "shape.h"
#include "sink.h"

namespace rlx {
namespace RLX_ISA {
namespace {

using RLX_BASE::extent;

struct Call {
  const rlx_tensor *x, *w, *bias, *out;
  const Sink* sink;
  float *signal, *filters;
  size_t batch, channels, length, cout, positions;  // of all groups
  size_t groups, depth, outs;                       // channels in and out of a group
  size_t taps, stride, padding, dilation;
  size_t padded() const { return length + 2 * padding; }
};

constexpr size_t kLine = 64;  // positions that are transposed at once

// Padded positions of one matrix (sequence and group) of the signal, channels innermost.
void transpose_line(const Call& c, size_t index) {
  const size_t lines = (c.padded() + kLine - 1) / kLine;
  const size_t matrix = index / lines, from = index % lines * kLine;
  const size_t to = c.padded() - from < kLine ? c.padded() : from + kLine;
  const size_t begin = from < c.padding ? c.padding : from, end = to > c.padding + c.length ? c.padding + c.length : to;
  float* target = c.signal + (matrix * c.padded() + from) * c.depth;
  for (size_t k = 0; k < c.depth; k++) {
    float line[kLine] = {};
    if (begin < end) {
      const size_t at = (matrix * c.depth + k) * c.length + begin - c.padding;
      to_f32(c.x->dtype, c.x->data + at * float_bytes(c.x->dtype), end - begin, line + (begin - from));
    }
    for (size_t i = 0; i < to - from; i++) target[i * c.depth + k] = line[i];
  }
}

// One filter [C / groups, K] as [K, C / groups].
void transpose_filter(const Call& c, size_t row) {
  float* target = c.filters + row * c.taps * c.depth;
  const size_t count = c.taps * c.depth;
  float tile[256];
  for (size_t i = 0, k = 0, tap = 0; i < count; i += 256) {
    const size_t m = count - i < 256 ? count - i : 256;
    to_f32(c.w->dtype, c.w->data + (row * count + i) * float_bytes(c.w->dtype), m, tile);
    for (size_t e = 0; e < m; e++) {
      target[tap * c.depth + k] = tile[e];
      if (++tap == c.taps) tap = 0, k++;
    }
  }
}

// Elements [from, from + count) of the window that begins at `window`.
void load_window(const Call& c, const float* window, size_t from, size_t count, float* to) {
  if (c.dilation == 1) {
    load_row<F32>(window + from, count, to);
    return;
  }
  while (count > 0) {
    const size_t tap = from / c.depth, k = from % c.depth;
    const size_t n = c.depth - k < count ? c.depth - k : count;
    load_row<F32>(window + tap * c.dilation * c.depth + k, n, to);
    from += n, to += n, count -= n;
  }
}

void run_task(void* context, size_t task) {
  const Call& c = *static_cast<const Call*>(context);
  const size_t row_blocks = (c.outs + kRowBlock - 1) / kRowBlock;
  const size_t chunks = (c.positions + kChunk - 1) / kChunk;
  const size_t matrix = task / (row_blocks * chunks);
  const size_t col = task / row_blocks % chunks * kChunk;
  const size_t row = task % row_blocks * kRowBlock;
  const size_t rows = c.outs - row < kRowBlock ? c.outs - row : kRowBlock;
  const size_t cols = c.positions - col < kChunk ? c.positions - col : kChunk;
  const size_t first = matrix % c.groups * c.outs + row;  // output channel
  const size_t terms = c.taps * c.depth;
  const float* filters[kRowBlock];
  for (size_t i = 0; i < rows; i++) filters[i] = c.filters + (first + i) * terms;
  float sums[kRowBlock * kChunk];
  if (terms == 0) memset(sums, 0, sizeof sums);  // sums of nothing
  const float* signal = c.signal + matrix * c.padded() * c.depth;
  const auto load = [&](size_t j, size_t count, size_t k, size_t depth, float* strip) {
    for (size_t i = 0; i < count; i++) load_window(c, signal + (col + j + i) * c.stride * c.depth, k, depth, strip + i * kDepth);
  };
  gemm_block(filters, rows, cols, terms, load, sums);
  for (size_t i = 0; i < rows; i++) {
    float* values = sums + i * kChunk;
    if (c.bias) {
      float b;
      to_f32(c.bias->dtype, c.bias->data + (first + i) * float_bytes(c.bias->dtype), 1, &b);
      for (size_t j = 0; j < cols; j++) values[j] += b;
    }
    c.sink->finish(matrix / c.groups * c.cout + first + i, col, values, cols);
  }
}

// One channel of an f64 output, tap by tap.
void run_row_f64(void* context, size_t index) {
  const Call& c = *static_cast<const Call*>(context);
  const size_t channel = index % c.cout;
  const double* x = reinterpret_cast<const double*>(c.x->data) + (index / c.cout * c.channels + channel / c.outs * c.depth) * c.length;
  const double* w = reinterpret_cast<const double*>(c.w->data) + channel * c.depth * c.taps;
  double* y = reinterpret_cast<double*>(c.out->data) + index * c.positions;
  const double b = c.bias ? reinterpret_cast<const double*>(c.bias->data)[channel] : 0.0;
  for (size_t p = 0; p < c.positions; p++) y[p] = b;
  for (size_t k = 0; k < c.depth; k++)
    for (size_t tap = 0; tap < c.taps; tap++)
      for (size_t p = 0; p < c.positions; p++) {
        const size_t at = p * c.stride + tap * c.dilation;  // on the padded signal
        if (at >= c.padding && at - c.padding < c.length) y[p] += w[k * c.taps + tap] * x[k * c.length + at - c.padding];
      }
}

bool is_dtype(const rlx_tensor& t, bool f64) { return f64 ? t.dtype == RLX_F64 : is_vector_float(t.dtype); }

const char* bind(const rlx_args* args, Call& c) {
  constexpr size_t kMost = static_cast<size_t>(1) << 31;  // products of two parameters stay exact
  if (args->n_in < 2 || args->n_out != 1 || args->n_params < 5) return "operands";
  const size_t own = RLX_BASE::size_param(args, 0);
  if (own < 2 || own > args->n_in) return "operands";
  const rlx_tensor &x = args->in[0], &w = args->in[1], &out = args->out[0];
  if (!x.data || !w.data || !out.data || x.rank != 3 || w.rank != 3 || out.rank != 3) return "expected x, w and the output with 3 axes";
  const rlx_tensor* bias = own > 2 && args->in[2].data ? &args->in[2] : nullptr;
  c = Call{&x, &w, bias, &out, nullptr, nullptr, nullptr, extent(x, 0), extent(x, 1), extent(x, 2), extent(w, 0), extent(out, 2), 0, 0, 0, 0, 0, 0, 0};
  c.stride = RLX_BASE::size_param(args, 1);
  c.padding = RLX_BASE::size_param(args, 2);
  c.dilation = RLX_BASE::size_param(args, 3);
  c.groups = RLX_BASE::size_param(args, 4);
  c.taps = extent(w, 2);
  c.depth = extent(w, 1);
  const size_t positive[] = {c.stride, c.dilation, c.groups, c.taps};
  for (const size_t n : positive)
    if (n < 1 || n > kMost) return "expected positive sizes";
  if (c.padding > kMost) return "padding is too large";
  c.outs = c.cout / c.groups;
  if (c.outs * c.groups != c.cout || c.depth * c.groups != c.channels) return "channels do not agree with the groups";
  const size_t reach = c.dilation * (c.taps - 1) + 1;
  const size_t positions = c.padded() < reach ? 0 : (c.padded() - reach) / c.stride + 1;
  if (extent(out, 0) != c.batch || extent(out, 1) != c.cout || c.positions != positions) return "output: expected [N, Cout, Lout]";
  const bool f64 = x.dtype == RLX_F64;
  if (!is_dtype(x, f64) || !is_dtype(w, f64) || (bias && !is_dtype(*bias, f64))) return "expected f64, or f32, f16 and bf16";
  if (bias && RLX_BASE::elements(*bias) != c.cout) return "bias: expected [Cout]";
  return f64 && (out.dtype != RLX_F64 || args->blob_bytes != 0) ? "f64 has no epilogue" : nullptr;
}

const char* conv1d(const rlx_args* args) {
  Call c;
  if (const char* error = bind(args, c)) return error;
  if (c.batch * c.cout * c.positions == 0) return nullptr;
  if (c.x->dtype == RLX_F64) {
    rlx_parallel(args->pool, c.batch * c.cout, run_row_f64, &c);
    return nullptr;
  }
  const size_t signal = (c.batch * c.channels * c.padded() * sizeof(float) + 63) & ~static_cast<size_t>(63);
  if (args->scratch_bytes < signal + c.cout * c.taps * c.depth * sizeof(float)) return "scratch is too small";
  c.signal = reinterpret_cast<float*>(args->scratch);
  c.filters = reinterpret_cast<float*>(args->scratch + signal);
  Sink sink;
  const size_t own = RLX_BASE::size_param(args, 0);
  if (const char* error = sink.bind(args, c.x->dtype, nullptr, c.positions, own)) return error;
  c.sink = &sink;
  const size_t matrices = c.batch * c.groups;
  parallel_chunks(args->pool, matrices * ((c.padded() + kLine - 1) / kLine), RLX_BASE::rows_per_task(c.depth * kLine), [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; i++) transpose_line(c, i);
  });
  parallel_chunks(args->pool, c.cout, RLX_BASE::rows_per_task(c.taps * c.depth), [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; i++) transpose_filter(c, i);
  });
  rlx_parallel(args->pool, matrices * ((c.outs + kRowBlock - 1) / kRowBlock) * ((c.positions + kChunk - 1) / kChunk), run_task, &c);
  return nullptr;
}

const rlx_kernel_entry kKernels[] = {{"conv1d", conv1d}};

}  // namespace

rlx_kernel_list conv_kernels() { return {kKernels, sizeof kKernels / sizeof *kKernels}; }

}  // namespace RLX_ISA
}  // namespace rlx
