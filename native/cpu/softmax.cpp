// softmax and log_softmax along any axis.
#include <math.h>

#include "shape.h"
#include "vm_math.h"

namespace rlx {
namespace RLX_BASE {
namespace {

inline float exp_of(float x) { return exp_f32(x); }
inline double exp_of(double x) { return exp(x); }
template <class T>
inline T log_of(T v, T max, double sum) {
  return static_cast<T>(static_cast<double>(v) - static_cast<double>(max) - log(sum));
}

constexpr size_t COLUMNS = 64;

// Up to COLUMNS neighbouring lanes, whose elements are `inner` apart.
template <class T, bool Log>
void columns(const rlx_tensor& x, const rlx_tensor& out, size_t start, size_t length, size_t inner, size_t count) {
  T v[COLUMNS], max[COLUMNS];
  double sum[COLUMNS];
  for (size_t c = 0; c < count; c++) max[c] = -INFINITY, sum[c] = 0;
  for (size_t j = 0; j < length; j++) {
    load_run(v, x.data, x.dtype, static_cast<int64_t>(start + j * inner), 1, count);
    for (size_t c = 0; c < count; c++) max[c] = v[c] > max[c] ? v[c] : max[c];
  }
  for (size_t j = 0; j < length; j++) {
    load_run(v, x.data, x.dtype, static_cast<int64_t>(start + j * inner), 1, count);
    for (size_t c = 0; c < count; c++) sum[c] += static_cast<double>(exp_of(v[c] - max[c]));
  }
  for (size_t j = 0; j < length; j++) {
    load_run(v, x.data, x.dtype, static_cast<int64_t>(start + j * inner), 1, count);
    for (size_t c = 0; c < count; c++)
      v[c] = Log ? log_of(v[c], max[c], sum[c]) : static_cast<T>(static_cast<double>(exp_of(v[c] - max[c])) / sum[c]);
    store_run(out.data, out.dtype, start + j * inner, v, count);
  }
}

template <class T, bool Log>
void row(const rlx_tensor& x, const rlx_tensor& out, size_t start, size_t length) {
  T v[VALUES];
  const auto tiles = [&](const auto& body) {
    for (size_t i = 0; i < length; i += VALUES) {
      const size_t m = length - i < VALUES ? length - i : VALUES;
      load_run(v, x.data, x.dtype, static_cast<int64_t>(start + i), 1, m);
      body(start + i, m);
    }
  };
  T max = -INFINITY;
  tiles([&](size_t, size_t m) {
    for (size_t k = 0; k < m; k++) max = v[k] > max ? v[k] : max;
  });
  double lanes[8] = {};
  tiles([&](size_t, size_t m) {
    for (size_t k = 0; k < m; k++) v[k] = exp_of(v[k] - max);
    for (size_t k = 0; k < m; k++) lanes[k % 8] += static_cast<double>(v[k]);
  });
  double sum = 0;
  for (const double s : lanes) sum += s;
  tiles([&](size_t at, size_t m) {
    for (size_t k = 0; k < m; k++)
      v[k] = Log ? log_of(v[k], max, sum) : static_cast<T>(static_cast<double>(exp_of(v[k] - max)) / sum);
    store_run(out.data, out.dtype, at, v, m);
  });
}

// in: x; params: axis.
template <bool Log>
const char* softmax(const rlx_args* args) {
  RLX_REQUIRE(given(args, 1, 1, 1), "operands");
  const rlx_tensor &x = args->in[0], &out = args->out[0];
  const int32_t axis = axis_param(args, 0, x.rank);
  RLX_REQUIRE(axis >= 0 && is_float(x.dtype) && same_type(x, out), "x: expected floats, as the output");
  const Lanes l = lanes(x, axis);
  if (l.length == 0 || l.inner == 0) return nullptr;
  with_float_class(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    if (l.inner == 1)
      parallel_chunks(args->pool, l.outer, rows_per_task(l.length, 4096), [&](size_t begin, size_t end) {
        for (size_t o = begin; o < end; o++) row<T, Log>(x, out, o * l.length, l.length);
      });
    else {
      const size_t groups = (l.inner + COLUMNS - 1) / COLUMNS;
      parallel_chunks(args->pool, l.outer * groups, rows_per_task(l.length * COLUMNS, 4096), [&](size_t begin, size_t end) {
        for (size_t i = begin; i < end; i++) {
          const size_t first = i % groups * COLUMNS;
          columns<T, Log>(x, out, i / groups * l.length * l.inner + first, l.length, l.inner,
                          l.inner - first < COLUMNS ? l.inner - first : COLUMNS);
        }
      });
    }
  });
  return nullptr;
}

constexpr rlx_kernel_entry entries[] = {{"softmax", softmax<false>}, {"log_softmax", softmax<true>}};

}  // namespace

rlx_kernel_list softmax_kernels() { return {entries, sizeof(entries) / sizeof(entries[0])}; }

}  // namespace RLX_BASE
}  // namespace rlx
