// argmax, argmin, topk.
#include "select.h"

namespace rlx {
namespace RLX_BASE {
namespace {

// in: x; out: i32; params: axis.
template <bool Max>
const char* arg(const rlx_args* args) {
  RLX_REQUIRE(given(args, 1, 1, 1), "operands");
  const rlx_tensor &x = args->in[0], &out = args->out[0];
  const int32_t axis = axis_param(args, 0, x.rank);
  RLX_REQUIRE(axis >= 0 && element_bytes(x.dtype) > 0 && out.dtype == RLX_I32, "x: expected numbers, output: i32");
  const Lanes l = lanes(x, axis);
  RLX_REQUIRE(elements(out) == l.outer * l.inner, "output: expected the shape of x without the axis");
  RLX_REQUIRE(l.length > 0 || elements(out) == 0, "x: expected an axis of at least one element");
  with_class(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    parallel_chunks(args->pool, l.outer * l.inner, rows_per_task(l.length), [&](size_t begin, size_t end) {
      T v[VALUES];
      for (size_t o = begin; o < end; o++) {
        const size_t start = o / l.inner * l.length * l.inner + o % l.inner;
        T best = 0;
        int32_t index = 0;
        for (size_t i = 0; i < l.length; i += VALUES) {
          const size_t m = l.length - i < VALUES ? l.length - i : VALUES;
          load_run(v, x.data, x.dtype, static_cast<int64_t>(start + i * l.inner), static_cast<int64_t>(l.inner), m);
          for (size_t k = 0; k < m; k++)
            if (i + k == 0 || (Max ? above(v[k], best) : above(best, v[k]))) {
              best = v[k];
              index = static_cast<int32_t>(i + k);
            }
        }
        reinterpret_cast<int32_t*>(out.data)[o] = index;
      }
    });
  });
  return nullptr;
}

// in: x [..., n]; out: values [..., k], indices i32 [..., k].
const char* topk(const rlx_args* args) {
  RLX_REQUIRE(given(args, 1, 2, 0), "operands");
  const rlx_tensor &x = args->in[0], &values = args->out[0], &indices = args->out[1];
  RLX_REQUIRE(x.rank > 0 && values.rank == x.rank && values.dtype == x.dtype && element_bytes(x.dtype) > 0, "values: expected the type of x");
  RLX_REQUIRE(indices.dtype == RLX_I32 && same_shape(values, indices), "indices: expected i32 in the shape of values");
  const size_t n = static_cast<size_t>(x.dims[x.rank - 1]), k = static_cast<size_t>(values.dims[x.rank - 1]);
  const size_t rows = elements(x, 0, x.rank - 1);
  RLX_REQUIRE(k <= n && k <= MOST_SELECTED && rows == elements(values, 0, x.rank - 1), "k: out of range");
  with_class(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    parallel_chunks(args->pool, rows, rows_per_task(n), [&](size_t begin, size_t end) {
      T best[MOST_SELECTED];
      for (size_t r = begin; r < end; r++) {
        largest(x, r * n, n, k, best, reinterpret_cast<int32_t*>(indices.data) + r * k);
        store_run(values.data, values.dtype, r * k, best, k);
      }
    });
  });
  return nullptr;
}

constexpr rlx_kernel_entry entries[] = {{"argmax", arg<true>}, {"argmin", arg<false>}, {"topk", topk}};

}  // namespace

rlx_kernel_list select_kernels() { return {entries, sizeof(entries) / sizeof(entries[0])}; }

}  // namespace RLX_BASE
}  // namespace rlx
