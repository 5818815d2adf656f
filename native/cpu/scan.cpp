// cumsum.
#include "shape.h"

namespace rlx {
namespace RLX_BASE {
namespace {

constexpr size_t COLUMNS = 64;

inline void add(double& a, double v) { a += v; }
inline void add(int64_t& a, int64_t v) { a = static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(v)); }

// in: x; params: axis, exclusive, reverse. Floats sum in f64.
const char* cumsum(const rlx_args* args) {
  RLX_REQUIRE(given(args, 1, 1, 3), "operands");
  const rlx_tensor &x = args->in[0], &out = args->out[0];
  const int32_t axis = axis_param(args, 0, x.rank);
  RLX_REQUIRE(axis >= 0 && element_bytes(x.dtype) > 0 && same_type(x, out), "x: expected numbers, as the output");
  const bool exclusive = args->params[1] != 0, reverse = args->params[2] != 0;
  const Lanes l = lanes(x, axis);
  const size_t groups = (l.inner + COLUMNS - 1) / COLUMNS;
  with_class(is_int(x.dtype) ? RLX_I64 : RLX_F64, [&](auto zero) {
    using A = decltype(zero);
    if constexpr (sizeof(A) == 8)
      parallel_chunks(args->pool, l.outer * groups, rows_per_task(l.length * COLUMNS), [&](size_t begin, size_t end) {
        A v[COLUMNS], sum[COLUMNS], before[COLUMNS];
        for (size_t i = begin; i < end; i++) {
          const size_t first = i % groups * COLUMNS, m = l.inner - first < COLUMNS ? l.inner - first : COLUMNS;
          for (size_t c = 0; c < m; c++) sum[c] = 0;
          for (size_t j = 0; j < l.length; j++) {
            const size_t at = (i / groups * l.length + (reverse ? l.length - 1 - j : j)) * l.inner + first;
            load_run(v, x.data, x.dtype, static_cast<int64_t>(at), 1, m);
            for (size_t c = 0; c < m; c++) {
              before[c] = sum[c];
              add(sum[c], v[c]);
            }
            store_run(out.data, out.dtype, at, exclusive ? before : sum, m);
          }
        }
      });
  });
  return nullptr;
}

constexpr rlx_kernel_entry entries[] = {{"cumsum", cumsum}};

}  // namespace

rlx_kernel_list scan_kernels() { return {entries, sizeof(entries) / sizeof(entries[0])}; }

}  // namespace RLX_BASE
}  // namespace rlx
