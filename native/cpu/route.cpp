// Routing of tokens to experts.
#include <math.h>

#include "select.h"

namespace rlx {
namespace RLX_BASE {
namespace {

// in: logits [T, E]; out: weights f32 [T, k], experts i32 [T, k]; params: normalize, sigmoid. Scores in f64.
const char* moe_route(const rlx_args* args) {
  RLX_REQUIRE(given(args, 1, 2, 2), "operands");
  const rlx_tensor &logits = args->in[0], &weights = args->out[0], &experts = args->out[1];
  RLX_REQUIRE(logits.rank == 2 && is_float(logits.dtype), "logits: expected floats [T, E]");
  RLX_REQUIRE(weights.rank == 2 && weights.dtype == RLX_F32 && experts.dtype == RLX_I32 && same_shape(weights, experts), "outputs");
  const size_t tokens = static_cast<size_t>(logits.dims[0]), count = static_cast<size_t>(logits.dims[1]);
  const size_t k = static_cast<size_t>(weights.dims[1]);
  RLX_REQUIRE(static_cast<size_t>(weights.dims[0]) == tokens && k > 0 && k <= count && k <= MOST_SELECTED, "k: out of range");
  const bool normalize = args->params[0] != 0, sigmoid = args->params[1] != 0;
  parallel_chunks(args->pool, tokens, rows_per_task(count * 8), [&](size_t begin, size_t end) {
    double best[MOST_SELECTED], v[VALUES];
    for (size_t t = begin; t < end; t++) {
      largest(logits, t * count, count, k, best, reinterpret_cast<int32_t*>(experts.data) + t * k);
      const double max = best[0];
      double all = sigmoid ? 1 : 0;
      for (size_t i = 0; i < count && !sigmoid; i += VALUES) {
        const size_t m = count - i < VALUES ? count - i : VALUES;
        load_run(v, logits.data, logits.dtype, static_cast<int64_t>(t * count + i), 1, m);
        for (size_t j = 0; j < m; j++) all += exp(v[j] - max);
      }
      double total = 0;
      for (size_t j = 0; j < k; j++) {
        best[j] = sigmoid ? 1 / (1 + exp(-best[j])) : exp(best[j] - max) / all;
        total += best[j];
      }
      for (size_t j = 0; j < k; j++) best[j] /= normalize ? total : 1;
      store_run(weights.data, weights.dtype, t * k, best, k);
    }
  });
  return nullptr;
}

constexpr rlx_kernel_entry entries[] = {{"moe_route", moe_route}};

}  // namespace

rlx_kernel_list route_kernels() { return {entries, sizeof(entries) / sizeof(entries[0])}; }

}  // namespace RLX_BASE
}  // namespace rlx
