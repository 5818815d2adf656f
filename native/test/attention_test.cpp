// attention against the formula in double precision. With D terms per score, scores are off by at most delta = (D + 4) u max sum |q k|,
// weights by the factor exp(2 delta), and the sum over n keys by (n + 16) u.
#include <cmath>

#include "harness.h"

namespace rlx_test {
namespace {

struct Case {
  int64_t batch, queries, heads, kv_heads, dim, value_dim, slots;
  bool causal = true, head_major = true, keep = false, bias = false, sinks = false;
  int64_t window = 0, length = -1;
  double softcap = 0;
};

void attention(Suite& suite, const Case& c, int32_t dtype, int32_t cache) {
  Random random(static_cast<uint64_t>(c.slots * 31 + c.dim));
  const auto cache_dims = [&](int64_t d) {
    return c.head_major ? std::vector<int64_t>{c.batch, c.kv_heads, c.slots, d} : std::vector<int64_t>{c.batch, c.slots, c.kv_heads * d};
  };
  Tensor q(dtype, {c.batch, c.queries, c.heads * c.dim}), k(cache, cache_dims(c.dim)), v(cache, cache_dims(c.value_dim)), length(RLX_I32, {});
  Tensor keep(RLX_BOOL, {c.batch, c.slots}), bias(RLX_F32, {1, c.heads, c.queries, c.slots}), sinks(RLX_F32, {c.heads});
  Tensor y(dtype, {c.batch, c.queries, c.heads * c.value_dim});
  for (Tensor* t : {&q, &k, &v, &bias, &sinks}) t->fill(random, -1, 1);
  for (size_t i = 0; i < keep.size(); i++) keep.set(i, random.below(4) ? 1 : 0);
  const int64_t n = c.length < 0 ? c.slots : c.length;
  length.set(0, static_cast<double>(n));
  const double scale = 1 / std::sqrt(static_cast<double>(c.dim));
  const auto at = [&](int64_t b, int64_t h, int64_t s, int64_t d) {
    return static_cast<size_t>(c.head_major ? ((b * c.kv_heads + h) * c.slots + s) * d : (b * c.slots + s) * c.kv_heads * d + h * d);
  };
  // What lies beyond the length is never read: NaN there changes nothing.
  for (int64_t b = 0; b < c.batch; b++)
    for (int64_t h = 0; h < c.kv_heads; h++)
      for (int64_t s = n; s < c.slots; s++) {
        for (int64_t d = 0; d < c.dim; d++) k.set(at(b, h, s, c.dim) + static_cast<size_t>(d), NAN);
        for (int64_t d = 0; d < c.value_dim; d++) v.set(at(b, h, s, c.value_dim) + static_cast<size_t>(d), NAN);
      }
  Tensor* mask = c.keep ? &keep : c.bias ? &bias : nullptr;
  const auto flag = [](bool b) { return b ? 1.0 : 0.0; };
  suite.run("attention", {&q, &k, &v, mask, nullptr, &length, c.sinks ? &sinks : nullptr}, {&y},
            {static_cast<double>(c.heads), static_cast<double>(c.kv_heads), static_cast<double>(c.dim), scale, c.softcap, static_cast<double>(c.window),
             flag(c.causal), flag(c.keep), flag(c.head_major), 0, 0});
  const double u = roundoff(RLX_F32);
  for (int64_t b = 0; b < c.batch; b++)
    for (int64_t i = 0; i < c.queries; i++)
      for (int64_t h = 0; h < c.heads; h++) {
        const int64_t position = n - c.queries + i, kv = h / (c.heads / c.kv_heads);
        std::vector<double> score(static_cast<size_t>(n), -INFINITY);
        double max = c.sinks ? sinks.get(static_cast<size_t>(h)) : -INFINITY, delta = 0;
        for (int64_t s = 0; s < n; s++) {
          if ((c.causal && s > position) || (c.window && s <= position - c.window) || (c.keep && keep.get(static_cast<size_t>(b * c.slots + s)) == 0)) continue;
          double dot = 0, size = 0;
          for (int64_t d = 0; d < c.dim; d++) {
            const double p = q.get(static_cast<size_t>(((b * c.queries + i) * c.heads + h) * c.dim + d)) * k.get(at(b, kv, s, c.dim) + static_cast<size_t>(d));
            dot += p, size += std::fabs(p);
          }
          double x = dot * scale;
          if (c.softcap != 0) x = std::tanh(x / c.softcap) * c.softcap;
          if (c.bias) x += bias.get(static_cast<size_t>((h * c.queries + i) * c.slots + s));
          score[static_cast<size_t>(s)] = x;
          max = std::fmax(max, x);
          delta = std::fmax(delta, (static_cast<double>(c.dim) + 4) * u * (size * scale + c.softcap + 2));
        }
        double sum = c.sinks ? std::exp(sinks.get(static_cast<size_t>(h)) - max) : 0;
        for (const double s : score) sum += std::exp(s - max);
        for (int64_t d = 0; d < c.value_dim; d++) {
          double value = 0, size = 0;
          for (int64_t s = 0; s < n && max != -INFINITY; s++) {
            const double w = std::exp(score[static_cast<size_t>(s)] - max) / sum;
            if (w == 0) continue;
            value += w * v.get(at(b, kv, s, c.value_dim) + static_cast<size_t>(d));
            size += w * std::fabs(v.get(at(b, kv, s, c.value_dim) + static_cast<size_t>(d)));
          }
          const double bound = (2 * delta + (static_cast<double>(n) + 16) * u) * size + 1.01 * std::fabs(value) * roundoff(dtype) + tiniest(dtype);
          suite.near("attention", y.get(static_cast<size_t>(((b * c.queries + i) * c.heads + h) * c.value_dim + d)), value, bound);
        }
      }
}

Case with(Case c, void (*change)(Case&)) {
  change(c);
  return c;
}

}  // namespace

void test_attention(Suite& suite) {
  const Case decode{1, 1, 6, 2, 64, 64, 700}, prefill{2, 9, 4, 2, 20, 12, 40}, wide{1, 3, 2, 1, 136, 200, 300};
  for (const int32_t cache : {RLX_F32, RLX_F16, RLX_BF16})
    for (const bool head_major : {true, false})
      for (Case c : {decode, prefill, wide, Case{1, 1, 5, 1, 33, 33, 530}, Case{1, 70, 2, 2, 16, 16, 300}}) {
        c.head_major = head_major;
        attention(suite, c, RLX_F32, cache);
      }
  attention(suite, decode, RLX_F16, RLX_F16);
  for (const auto change : {+[](Case& c) { c.keep = true; }, +[](Case& c) { c.bias = true; }, +[](Case& c) { c.sinks = true; }, +[](Case& c) { c.window = 5; },
                            +[](Case& c) { c.softcap = 3; }, +[](Case& c) { c.length = c.slots - 7; }, +[](Case& c) { c.causal = false; },
                            +[](Case& c) { c.length = c.queries; }}) {
    attention(suite, with(decode, change), RLX_F32, RLX_F16);
    attention(suite, with(prefill, change), RLX_F32, RLX_F16);
  }
}

}  // namespace rlx_test
