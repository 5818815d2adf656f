// The kernels `linear` and `grouped_linear`.
//   linear          in: x [.., k], w [n, k], bias [n] or absent     out: [.., n]
//   grouped_linear  in: x [T, k] or [T, K, k], w [E, n, k], experts int [T, K]   out: [T, K, n]
//   params: how many of the inputs are the op's own. blob: bytecode of the epilogue, whose operands the other inputs are; empty: none.
//   scratch: what scratchBytes in packages/backend-cpu/src/kernels/linear.ts computes
#include "linear.h"
#include "families.h"
#include "pack.h"
#include "shape.h"

namespace rlx {
namespace RLX_ISA {
namespace {

using RLX_BASE::elements;

bool is_packed(int32_t dtype) { return dtype == RLX_Q8_0 || dtype == RLX_Q4_0; }
size_t last(const rlx_tensor& t) { return t.rank > 0 ? static_cast<size_t>(t.dims[t.rank - 1]) : 0; }

// What both kernels want of their operands: x [.., k], a weight [.., n, k] in the layout of its dtype, y [.., n].
const char* check(const rlx_args* args, size_t own) {
  if (args->n_out != 1 || args->n_params < 1 || own > args->n_in) return "operands";
  const rlx_tensor &x = args->in[0], &w = args->in[1], &y = args->out[0];
  if (!x.data || !w.data || !y.data || x.rank < 1 || y.rank < 1) return "an operand is missing";
  if (!is_vector_float(x.dtype)) return "x: expected f32, f16 or bf16";
  const size_t rows = elements(w, 0, w.rank - 1);
  const size_t k = last(x);
  if (w.rank < 2 || last(w) != k || static_cast<size_t>(w.dims[w.rank - 2]) != last(y)) return "w: expected [n, k]";
  // Packed weights come with the bytes that there are; others with those of their shape.
  if (is_packed(w.dtype)) return k % 32 == 0 && w.bytes >= rows16_bytes(w.dtype, w.rank > 2 ? rows : last(y), k) ? nullptr : "w: expected packed blocks";
  return is_vector_float(w.dtype) || w.bytes >= rows * k * 2 ? nullptr : "w: expected floats, or a K format as f16";
}
// Rows of x in the form that the weights want, in scratch; then the jobs.
const char* run_jobs(const rlx_args* args, const Jobs& jobs, size_t x_rows, size_t n, size_t k, const Sink& sink, uint8_t* scratch, size_t bytes) {
  const rlx_tensor& x = args->in[0];
  const rlx_tensor& w = args->in[1];
  if (is_packed(w.dtype)) {
    if (bytes < quant_scratch(x_rows, k)) return "scratch is too small";
    const QuantRows rows = quantize_rows(x.data, x.dtype, x_rows, k, pack_bias(w.dtype), scratch, args->pool);
    quant_linear(jobs, rows, w, n, sink, args->pool);
    return nullptr;
  }
  const float* rows = reinterpret_cast<const float*>(x.data);
  if (x.dtype != RLX_F32) {
    if (bytes < x_rows * k * sizeof(float)) return "scratch is too small";
    float* converted = reinterpret_cast<float*>(scratch);
    to_f32(x.dtype, x.data, x_rows * k, converted);
    rows = converted;
  }
  rlx_tensor floats = w;
  if (!is_vector_float(w.dtype)) floats.dtype = RLX_F16;  // a K format, packed as "f16"
  float_linear(jobs, rows, floats, n, k, sink, args->pool);
  return nullptr;
}

const char* linear(const rlx_args* args) {
  const size_t own = args->n_params > 0 ? RLX_BASE::size_param(args, 0) : 0;
  if (own < 2) return "operands";
  if (const char* error = check(args, own)) return error;
  const rlx_tensor& x = args->in[0];
  const size_t k = last(x);
  const size_t n = last(args->out[0]);
  const size_t m = elements(x, 0, x.rank - 1);
  const rlx_tensor* bias = own > 2 && args->in[2].data ? &args->in[2] : nullptr;
  if (args->in[1].rank != 2 || elements(args->out[0]) != m * n) return "output: expected [.., n]";
  if (bias && (!is_vector_float(bias->dtype) || elements(*bias) != n)) return "bias: expected floats [n]";
  if (m * n == 0) return nullptr;
  Sink sink;
  if (const char* error = sink.bind(args, x.dtype, bias, n, own)) return error;
  const Job job{0, m, nullptr, nullptr};
  return run_jobs(args, Jobs{&job, 1, m}, m, n, k, sink, args->scratch, args->scratch_bytes);
}

int64_t expert_at(const rlx_tensor& t, size_t i) {
  return t.dtype == RLX_I64 ? reinterpret_cast<const int64_t*>(t.data)[i] : reinterpret_cast<const int32_t*>(t.data)[i];
}

const char* grouped_linear(const rlx_args* args) {
  const size_t own = args->n_params > 0 ? RLX_BASE::size_param(args, 0) : 0;
  if (own < 3) return "operands";
  if (const char* error = check(args, own)) return error;
  const rlx_tensor& x = args->in[0];
  const rlx_tensor& w = args->in[1];
  const rlx_tensor& experts = args->in[2];
  const size_t k = last(x);
  const size_t n = last(args->out[0]);
  const size_t rows = elements(experts);
  const size_t per_token = x.rank == 2 ? last(experts) : 1;  // output rows that share a row of x
  const size_t x_rows = elements(x, 0, x.rank - 1);
  if (w.rank != 3 || x_rows * per_token != rows || elements(args->out[0]) != rows * n) return "shapes do not agree";
  if (!experts.data || (experts.dtype != RLX_I32 && experts.dtype != RLX_I64) || rows > INT32_MAX) return "experts: expected i32 or i64";
  if (rows * n == 0) return nullptr;
  const size_t n_experts = static_cast<size_t>(w.dims[0]);

  // Scratch: the jobs, then where each expert's rows begin, then rows of x and of y ordered by expert, then x.
  const size_t lists = n_experts * sizeof(Job) + (n_experts + 1 + 2 * rows) * sizeof(int32_t);
  const size_t used = (lists + 63) & ~static_cast<size_t>(63);
  if (args->scratch_bytes < used) return "scratch is too small";
  Job* list = reinterpret_cast<Job*>(args->scratch);
  int32_t* begin = reinterpret_cast<int32_t*>(list + n_experts);
  int32_t* xs = begin + n_experts + 1;
  int32_t* ys = xs + rows;

  memset(begin, 0, (n_experts + 1) * sizeof *begin);
  for (size_t i = 0; i < rows; i++) {
    const int64_t e = expert_at(experts, i);
    if (e < 0 || static_cast<size_t>(e) >= n_experts) return rlx_message("index %zu: expected 0 to %" PRId64 ", got %" PRId64, i, static_cast<int64_t>(n_experts) - 1, e);
    begin[e + 1]++;
  }
  for (size_t e = 0; e < n_experts; e++) begin[e + 1] += begin[e];
  for (size_t i = 0; i < rows; i++) {
    int32_t& at = begin[expert_at(experts, i)];
    xs[at] = static_cast<int32_t>(i / per_token);
    ys[at] = static_cast<int32_t>(i);
    at++;
  }
  // Each begin has moved to its expert's end.
  Jobs jobs{list, 0, 0};
  size_t from = 0;
  for (size_t e = 0; e < n_experts; e++) {
    const size_t to = static_cast<size_t>(begin[e]);
    if (to > from) {
      list[jobs.count++] = Job{e * n, to - from, xs + from, ys + from};
      if (to - from > jobs.most) jobs.most = to - from;
    }
    from = to;
  }
  Sink sink;
  if (const char* error = sink.bind(args, x.dtype, nullptr, n, own)) return error;
  return run_jobs(args, jobs, x_rows, n, k, sink, args->scratch + used, args->scratch_bytes - used);
}

const rlx_kernel_entry kKernels[] = {{"linear", linear}, {"grouped_linear", grouped_linear}};

}  // namespace

rlx_kernel_list linear_kernels() { return {kKernels, sizeof kKernels / sizeof *kKernels}; }

}  // namespace RLX_ISA
}  // namespace rlx
