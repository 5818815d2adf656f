// Reductions over any set of axes: floats in f64, integers in wrapping i64.
#include <math.h>

#include "shape.h"

namespace rlx {
namespace RLX_BASE {
namespace {

enum class Fold { sum, mean, product, max, min };

template <Fold F, class A>
constexpr A start() {
  if constexpr (F == Fold::product) return 1;
  else if constexpr (F == Fold::max) return static_cast<A>(0.5) != 0 ? static_cast<A>(-INFINITY) : static_cast<A>(INT64_MIN);
  else if constexpr (F == Fold::min) return static_cast<A>(0.5) != 0 ? static_cast<A>(INFINITY) : static_cast<A>(INT64_MAX);
  else return 0;
}
// NaN stays; of two zeros the larger is the maximum.
inline double larger(double a, double v) { return a > v ? a : v > a ? v : a != v || a == 0 ? a + v : a; }
inline double smaller(double a, double v) { return a < v ? a : v < a ? v : a != v || a == 0 ? -(-a - v) : a; }
inline int64_t larger(int64_t a, int64_t v) { return a > v ? a : v; }
inline int64_t smaller(int64_t a, int64_t v) { return a < v ? a : v; }
inline double plus(double a, double v) { return a + v; }
inline double times(double a, double v) { return a * v; }
inline int64_t plus(int64_t a, int64_t v) { return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(v)); }
inline int64_t times(int64_t a, int64_t v) { return static_cast<int64_t>(static_cast<uint64_t>(a) * static_cast<uint64_t>(v)); }

template <Fold F, class A>
inline A fold(A a, A v) {
  if constexpr (F == Fold::max) return larger(a, v);
  else if constexpr (F == Fold::min) return smaller(a, v);
  else if constexpr (F == Fold::product) return times(a, v);
  else return plus(a, v);
}

// Axes in order, neighbours of a kind joined, with their strides.
struct Groups {
  int32_t kept = 0, reduced = 0;
  size_t kept_dims[RLX_MAX_RANK], kept_strides[RLX_MAX_RANK], reduced_dims[RLX_MAX_RANK], reduced_strides[RLX_MAX_RANK];
  size_t outputs = 1, terms = 1;
  bool last_reduced = false;
};
Groups group(const rlx_tensor& x, uint32_t mask) {
  size_t dims[RLX_MAX_RANK];
  bool reduced[RLX_MAX_RANK];
  int32_t count = 0;
  for (int32_t i = 0; i < x.rank; i++) {
    if (x.dims[i] == 1) continue;
    const bool r = mask >> i & 1;
    if (count > 0 && reduced[count - 1] == r) dims[count - 1] *= static_cast<size_t>(x.dims[i]);
    else {
      reduced[count] = r;
      dims[count++] = static_cast<size_t>(x.dims[i]);
    }
  }
  Groups g;
  g.last_reduced = count > 0 && reduced[count - 1];
  size_t stride = 1;
  size_t strides[RLX_MAX_RANK];
  for (int32_t i = count - 1; i >= 0; i--) {
    strides[i] = stride;
    stride *= dims[i];
  }
  for (int32_t i = 0; i < count; i++) {
    size_t* d = reduced[i] ? g.reduced_dims + g.reduced : g.kept_dims + g.kept;
    size_t* s = reduced[i] ? g.reduced_strides + g.reduced++ : g.kept_strides + g.kept++;
    *d = dims[i];
    *s = strides[i];
    (reduced[i] ? g.terms : g.outputs) *= dims[i];
  }
  return g;
}
size_t offset_of(size_t index, int32_t count, const size_t* dims, const size_t* strides) {
  size_t at = 0;
  for (int32_t d = count - 1; d >= 0; d--) {
    at += index % dims[d] * strides[d];
    index /= dims[d];
  }
  return at;
}

template <Fold F, class T, class A>
A reduce_run(const rlx_tensor& x, size_t at, size_t n) {
  T v[VALUES];
  A lanes[8];
  for (A& a : lanes) a = start<F, A>();
  for (size_t i = 0; i < n; i += VALUES) {
    const size_t m = n - i < VALUES ? n - i : VALUES;
    load_run(v, x.data, x.dtype, static_cast<int64_t>(at + i), 1, m);
    size_t k = 0;
    for (; k + 8 <= m; k += 8)
      for (size_t l = 0; l < 8; l++) lanes[l] = fold<F>(lanes[l], static_cast<A>(v[k + l]));
    for (; k < m; k++) lanes[k % 8] = fold<F>(lanes[k % 8], static_cast<A>(v[k]));
  }
  for (size_t l = 1; l < 8; l++) lanes[0] = fold<F>(lanes[0], lanes[l]);
  return lanes[0];
}

template <Fold F, class T, class A>
void reduce_all(const rlx_args* args, const Groups& g) {
  const rlx_tensor &x = args->in[0], &out = args->out[0];
  const auto finish = [&](A a) -> A {
    if constexpr (F == Fold::mean) return a / static_cast<A>(g.terms);
    else return a;
  };
  if (g.last_reduced) {
    const int32_t outer = g.reduced - 1;
    const size_t run = g.reduced_dims[outer], repeats = g.terms / (run == 0 ? 1 : run);
    parallel_chunks(args->pool, g.outputs, rows_per_task(g.terms), [&](size_t begin, size_t end) {
      for (size_t o = begin; o < end; o++) {
        const size_t base = offset_of(o, g.kept, g.kept_dims, g.kept_strides);
        A acc = start<F, A>();
        for (size_t r = 0; r < repeats; r++)
          acc = fold<F>(acc, reduce_run<F, T, A>(x, base + offset_of(r, outer, g.reduced_dims, g.reduced_strides), run));
        acc = finish(acc);
        store_run(out.data, out.dtype, o, &acc, 1);
      }
    });
    return;
  }
  // The innermost axis is kept: whole stretches of it at once.
  const size_t run = g.kept == 0 ? 1 : g.kept_dims[g.kept - 1], tiles = (run + VALUES - 1) / VALUES;
  parallel_chunks(args->pool, run == 0 ? 0 : g.outputs / run * tiles, rows_per_task(g.terms * (run < VALUES ? run : VALUES)), [&](size_t begin, size_t end) {
    T v[VALUES];
    A acc[VALUES];
    for (size_t i = begin; i < end; i++) {
      const size_t first = i % tiles * VALUES, m = run - first < VALUES ? run - first : VALUES, at = i / tiles * run + first;
      const size_t base = offset_of(at, g.kept, g.kept_dims, g.kept_strides);
      for (size_t k = 0; k < m; k++) acc[k] = start<F, A>();
      for (size_t r = 0; r < g.terms; r++) {
        load_run(v, x.data, x.dtype, static_cast<int64_t>(base + offset_of(r, g.reduced, g.reduced_dims, g.reduced_strides)), 1, m);
        for (size_t k = 0; k < m; k++) acc[k] = fold<F>(acc[k], static_cast<A>(v[k]));
      }
      for (size_t k = 0; k < m; k++) acc[k] = finish(acc[k]);
      store_run(out.data, out.dtype, at, acc, m);
    }
  });
}

// in: x; params: the axes as a bit mask.
template <Fold F>
const char* reduce(const rlx_args* args) {
  RLX_REQUIRE(given(args, 1, 1, 1), "operands");
  const rlx_tensor &x = args->in[0], &out = args->out[0];
  RLX_REQUIRE(x.dtype == out.dtype && (is_float(x.dtype) || (is_int(x.dtype) && F != Fold::mean)), "x: expected numbers, as the output");
  const Groups g = group(x, static_cast<uint32_t>(size_param(args, 0)));
  RLX_REQUIRE(g.outputs == elements(out), "output: expected the extents that are not reduced");
  with_class(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    if constexpr (class_dtype<T>() == RLX_I64) {
      if constexpr (F != Fold::mean) reduce_all<F, int64_t, int64_t>(args, g);
    } else reduce_all<F, T, double>(args, g);
  });
  return nullptr;
}

constexpr rlx_kernel_entry entries[] = {
    {"reduce_sum", reduce<Fold::sum>}, {"reduce_mean", reduce<Fold::mean>}, {"reduce_prod", reduce<Fold::product>},
    {"reduce_max", reduce<Fold::max>}, {"reduce_min", reduce<Fold::min>},
};

}  // namespace

rlx_kernel_list reduce_kernels() { return {entries, sizeof(entries) / sizeof(entries[0])}; }

}  // namespace RLX_BASE
}  // namespace rlx
