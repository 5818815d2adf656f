// The kernels `linear` and `grouped_linear`.
//   linear          in: x [.., k], w [n, k], bias [n] or absent     out: [.., n]
//   grouped_linear  in: x [T, k] or [T, K, k], w [E, n, k], experts int [T, K]   out: [T, K, n]
//   params: how many of the inputs are the op's own. blob: bytecode of the epilogue, whose operands the other inputs are; empty: none.
//   scratch: what scratchBytes in packages/backend-cpu/src/kernels/linear.ts computes
#include "linear.h"
#include "families.h"
#include "pack.h"

namespace rlx {
namespace RLX_ISA {
namespace {

bool is_packed(int32_t dtype) { return dtype == RLX_Q8_0 || dtype == RLX_Q4_0; }

size_t elements(const rlx_tensor& t) {
  size_t n = 1;
  for (int32_t i = 0; i < t.rank; i++) n *= static_cast<size_t>(t.dims[i]);
  return n;
}
size_t last(const rlx_tensor& t) { return static_cast<size_t>(t.dims[t.rank - 1]); }

// Rows of x in the form that the weights want, in scratch; then the jobs.
const char* run_jobs(const rlx_args* args, const Jobs& jobs, size_t x_rows, size_t n, size_t k, const Sink& sink, uint8_t* scratch, size_t bytes) {
  const rlx_tensor& x = args->in[0];
  const rlx_tensor& w = args->in[1];
  if (is_packed(w.dtype)) {
    if (bytes < quant_scratch(x_rows, k)) return "linear: scratch is too small";
    const QuantRows rows = quantize_rows(x.data, x.dtype, x_rows, k, pack_bias(w.dtype), scratch, args->pool);
    quant_linear(jobs, rows, w, n, sink, args->pool);
    return nullptr;
  }
  const float* rows = reinterpret_cast<const float*>(x.data);
  if (x.dtype != RLX_F32) {
    if (bytes < x_rows * k * sizeof(float)) return "linear: scratch is too small";
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
  const rlx_tensor& x = args->in[0];
  const size_t k = last(x);
  const size_t n = last(args->out[0]);
  if (elements(args->out[0]) == 0) return nullptr;
  const size_t m = elements(args->out[0]) / n;
  const size_t own = static_cast<size_t>(args->params[0]);
  const rlx_tensor* bias = own > 2 && args->in[2].data ? &args->in[2] : nullptr;
  Sink sink;
  if (const char* error = sink.bind(args, x.dtype, bias, n, own)) return error;
  const Job job{0, m, nullptr, nullptr};
  return run_jobs(args, Jobs{&job, 1, m}, m, n, k, sink, args->scratch, args->scratch_bytes);
}

int64_t index_at(const rlx_tensor& t, size_t i) {
  return t.dtype == RLX_I64 ? reinterpret_cast<const int64_t*>(t.data)[i] : reinterpret_cast<const int32_t*>(t.data)[i];
}

const char* grouped_linear(const rlx_args* args) {
  const rlx_tensor& x = args->in[0];
  const rlx_tensor& w = args->in[1];
  const rlx_tensor& experts = args->in[2];
  const size_t k = last(x);
  const size_t n = last(args->out[0]);
  const size_t rows = elements(experts);
  if (elements(args->out[0]) == 0) return nullptr;
  const size_t per_token = x.rank == 2 ? last(experts) : 1;  // output rows that share a row of x
  const size_t n_experts = static_cast<size_t>(w.dims[0]);

  // Scratch: the jobs, then where each expert's rows begin, then rows of x and of y ordered by expert, then x.
  const size_t lists = n_experts * sizeof(Job) + (n_experts + 1 + 2 * rows) * sizeof(int32_t);
  const size_t used = (lists + 63) & ~static_cast<size_t>(63);
  if (args->scratch_bytes < used) return "grouped_linear: scratch is too small";
  Job* list = reinterpret_cast<Job*>(args->scratch);
  int32_t* begin = reinterpret_cast<int32_t*>(list + n_experts);
  int32_t* xs = begin + n_experts + 1;
  int32_t* ys = xs + rows;

  memset(begin, 0, (n_experts + 1) * sizeof *begin);
  for (size_t i = 0; i < rows; i++) {
    const int64_t e = index_at(experts, i);
    if (e < 0 || static_cast<size_t>(e) >= n_experts) return "grouped_linear: expert index is out of range";
    begin[e + 1]++;
  }
  for (size_t e = 0; e < n_experts; e++) begin[e + 1] += begin[e];
  for (size_t i = 0; i < rows; i++) {
    int32_t& at = begin[index_at(experts, i)];
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
  const size_t own = static_cast<size_t>(args->params[0]);
  if (const char* error = sink.bind(args, x.dtype, nullptr, n, own)) return error;
  return run_jobs(args, jobs, elements(x) / k, n, k, sink, args->scratch + used, args->scratch_bytes - used);
}

const rlx_kernel_entry kKernels[] = {{"linear", linear}, {"grouped_linear", grouped_linear}};

}  // namespace

rlx_kernel_list linear_kernels() { return {kKernels, sizeof kKernels / sizeof *kKernels}; }

}  // namespace RLX_ISA
}  // namespace rlx
