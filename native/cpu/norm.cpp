// Normalisations over rows: sums and the scale in f64, the results rounded once.
#include <math.h>

#include "shape.h"

namespace rlx {
namespace RLX_BASE {
namespace {

// Sum of (v - center) or of its square, in eight partial sums that are added in a fixed order.
template <bool Square, class T>
double sum_tile(const T* v, size_t n, double center) {
  double lanes[8] = {};
  size_t i = 0;
  for (; i + 8 <= n; i += 8)
    for (size_t k = 0; k < 8; k++) {
      const double d = static_cast<double>(v[i + k]) - center;
      lanes[k] += Square ? d * d : d;
    }
  for (; i < n; i++) {
    const double d = static_cast<double>(v[i]) - center;
    lanes[i % 8] += Square ? d * d : d;
  }
  return ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
}

template <bool Square, class T>
double sum_row(const rlx_tensor& x, size_t at, size_t n, double center) {
  T v[VALUES];
  double sum = 0;
  for (size_t i = 0; i < n; i += VALUES) {
    const size_t m = n - i < VALUES ? n - i : VALUES;
    load_run(v, x.data, x.dtype, static_cast<int64_t>(at + i), 1, m);
    sum += sum_tile<Square>(v, m, center);
  }
  return sum;
}

struct Moments {
  double mean, scale;
};
template <bool Centered, class T>
Moments moments(const rlx_tensor& x, size_t at, size_t n, double eps) {
  const double mean = Centered ? sum_row<false, T>(x, at, n, 0) / static_cast<double>(n) : 0;
  return {mean, 1 / sqrt(sum_row<true, T>(x, at, n, mean) / static_cast<double>(n) + eps)};
}

// out = (x - mean) * scale * weight + bias for one row; weight and bias follow the row's elements.
template <class T>
void apply_row(const rlx_tensor& x, const rlx_tensor& out, size_t at, size_t n, const Moments& s, const rlx_tensor& weight,
               const rlx_tensor* bias) {
  T v[VALUES], w[VALUES], b[VALUES];
  for (size_t i = 0; i < n; i += VALUES) {
    const size_t m = n - i < VALUES ? n - i : VALUES;
    const auto from = static_cast<int64_t>(i);
    load_run(v, x.data, x.dtype, static_cast<int64_t>(at + i), 1, m);
    if (weight.data) load_run(w, weight.data, weight.dtype, from, 1, m);
    else
      for (size_t k = 0; k < m; k++) w[k] = 1;
    if (bias && bias->data) load_run(b, bias->data, bias->dtype, from, 1, m);
    else
      for (size_t k = 0; k < m; k++) b[k] = 0;
    for (size_t k = 0; k < m; k++)
      v[k] = static_cast<T>((static_cast<double>(v[k]) - s.mean) * s.scale * static_cast<double>(w[k]) + static_cast<double>(b[k]));
    store_run(out.data, out.dtype, at + i, v, m);
  }
}

bool fits_row(const rlx_tensor& t, size_t n) { return !t.data || (is_float(t.dtype) && elements(t) == n); }

template <bool Centered>
const char* check(const rlx_args* args, size_t operands, size_t outputs) {
  constexpr size_t kOptional = Centered ? 2 : 1;
  RLX_REQUIRE(given(args, operands + kOptional, outputs, 1, kOptional), "operands");
  const rlx_tensor& x = args->in[0];
  RLX_REQUIRE(x.rank > 0 && is_float(x.dtype), "x: expected floats with at least one axis");
  for (size_t i = 1; i < operands; i++) RLX_REQUIRE(same_type(args->in[i], x), "residual: expected the type of x");
  for (size_t i = 0; i < outputs; i++) RLX_REQUIRE(same_type(args->out[i], x), "output: expected the type of x");
  for (size_t i = operands; i < args->n_in; i++)
    RLX_REQUIRE(fits_row(args->in[i], static_cast<size_t>(x.dims[x.rank - 1])), "weight or bias: expected the last extent of x");
  return nullptr;
}

// in: x, weight?, bias? (layer norm); params: eps.
template <bool Centered>
const char* norm(const rlx_args* args) {
  if (const char* error = check<Centered>(args, 1, 1)) return error;
  const rlx_tensor& x = args->in[0];
  const size_t n = static_cast<size_t>(x.dims[x.rank - 1]), rows = elements(x, 0, x.rank - 1);
  if (n == 0) return nullptr;
  with_float_class(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    parallel_chunks(args->pool, rows, rows_per_task(n), [&](size_t begin, size_t end) {
      for (size_t r = begin; r < end; r++)
        apply_row<T>(x, args->out[0], r * n, n, moments<Centered, T>(x, r * n, n, args->params[0]), args->in[1],
                     Centered ? &args->in[2] : nullptr);
    });
  });
  return nullptr;
}

// in: x, residual, weight?, bias? (layer norm); out: sum, normed; params: eps. The norm reads the rounded sum.
template <bool Centered>
const char* residual_norm(const rlx_args* args) {
  if (const char* error = check<Centered>(args, 2, 2)) return error;
  const rlx_tensor &x = args->in[0], &residual = args->in[1], &sum = args->out[0];
  const size_t n = static_cast<size_t>(x.dims[x.rank - 1]), rows = elements(x, 0, x.rank - 1);
  if (n == 0) return nullptr;
  with_float_class(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    parallel_chunks(args->pool, rows, rows_per_task(n), [&](size_t begin, size_t end) {
      T a[VALUES], b[VALUES];
      for (size_t r = begin; r < end; r++) {
        for (size_t i = 0; i < n; i += VALUES) {
          const size_t m = n - i < VALUES ? n - i : VALUES;
          const auto at = static_cast<int64_t>(r * n + i);
          load_run(a, x.data, x.dtype, at, 1, m);
          load_run(b, residual.data, residual.dtype, at, 1, m);
          for (size_t k = 0; k < m; k++) a[k] += b[k];
          store_run(sum.data, sum.dtype, r * n + i, a, m);
        }
        apply_row<T>(sum, args->out[1], r * n, n, moments<Centered, T>(sum, r * n, n, args->params[0]), args->in[2],
                     Centered ? &args->in[3] : nullptr);
      }
    });
  });
  return nullptr;
}

// in: x [N, C, ...], weight? [C], bias? [C]; params: groups, eps.
const char* group_norm(const rlx_args* args) {
  RLX_REQUIRE(given(args, 3, 1, 2, 2), "operands");
  const rlx_tensor &x = args->in[0], &weight = args->in[1], &bias = args->in[2], &out = args->out[0];
  RLX_REQUIRE(x.rank >= 2 && is_float(x.dtype) && same_type(x, out), "x: expected floats [N, C, ...], as the output");
  const size_t channels = static_cast<size_t>(x.dims[1]), pixels = elements(x, 2);
  const size_t groups = size_param(args, 0);
  RLX_REQUIRE(groups > 0 && channels % groups == 0, "groups: expected a divisor of the channels");
  RLX_REQUIRE(fits_row(weight, channels) && fits_row(bias, channels), "weight or bias: expected [C]");
  const size_t per_group = channels / groups, n = per_group * pixels;
  if (n == 0) return nullptr;
  with_float_class(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    parallel_chunks(args->pool, static_cast<size_t>(x.dims[0]) * groups, rows_per_task(n), [&](size_t begin, size_t end) {
      for (size_t g = begin; g < end; g++) {
        const Moments s = moments<true, T>(x, g * n, n, args->params[1]);
        for (size_t c = 0; c < per_group; c++) {
          const auto channel = static_cast<int64_t>(g % groups * per_group + c);
          double w = 1, b = 0;
          if (weight.data) load_run(&w, weight.data, weight.dtype, channel, 1, 1);
          if (bias.data) load_run(&b, bias.data, bias.dtype, channel, 1, 1);
          T v[VALUES];
          for (size_t i = 0; i < pixels; i += VALUES) {
            const size_t m = pixels - i < VALUES ? pixels - i : VALUES, at = g * n + c * pixels + i;
            load_run(v, x.data, x.dtype, static_cast<int64_t>(at), 1, m);
            for (size_t k = 0; k < m; k++) v[k] = static_cast<T>((static_cast<double>(v[k]) - s.mean) * s.scale * w + b);
            store_run(out.data, out.dtype, at, v, m);
          }
        }
      }
    });
  });
  return nullptr;
}

constexpr rlx_kernel_entry entries[] = {
    {"rms_norm", norm<false>},
    {"layer_norm", norm<true>},
    {"residual_rms_norm", residual_norm<false>},
    {"residual_layer_norm", residual_norm<true>},
    {"group_norm", group_norm},
};

}  // namespace

rlx_kernel_list norm_kernels() { return {entries, sizeof(entries) / sizeof(entries[0])}; }

}  // namespace RLX_BASE
}  // namespace rlx
