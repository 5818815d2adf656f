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

// A call over one sequence; k and v of any format.
struct Stored {
  int64_t queries, heads, kv_heads, dim, slots;
  bool head_major;
  double codec = 0;  // 16 * id + bits of native/cpu/kv_codec.h
  int64_t ring_start = 0;
};
Tensor attend(Suite& suite, const Stored& c, Tensor& q, Tensor& k, Tensor& v, Tensor* k_norms = nullptr, Tensor* v_norms = nullptr) {
  Tensor y(RLX_F32, q.dims), length(RLX_I32, {}), start(RLX_I32, {});
  length.set(0, static_cast<double>(c.slots));
  start.set(0, static_cast<double>(c.ring_start));
  suite.run("attention", {&q, &k, &v, nullptr, nullptr, &length, nullptr, &start, nullptr, k_norms, v_norms}, {&y},
            {static_cast<double>(c.heads), static_cast<double>(c.kv_heads), static_cast<double>(c.dim), 1 / std::sqrt(static_cast<double>(c.dim)), 0,
             static_cast<double>(c.slots - 3), 1, 0, c.head_major ? 1.0 : 0.0, c.codec, c.codec});
  return y;
}
std::vector<int64_t> cache_dims(const Stored& c, int64_t width) {
  return c.head_major ? std::vector<int64_t>{1, c.kv_heads, c.slots, width} : std::vector<int64_t>{1, c.slots, c.kv_heads * width};
}
void same_values(Suite& suite, const char* what, const Tensor& got, const Tensor& expected, double tolerance) {
  for (size_t i = 0; i < got.size(); i++) suite.near(what, got.get(i), expected.get(i), tolerance);
}

// Caches in blocks and codes against f32 caches of the values that these stand for: both are within rounding of the formula.
void stored_caches(Suite& suite, const Stored& c) {
  Random random(static_cast<uint64_t>(c.slots * 7 + c.dim));
  Tensor q(RLX_F32, {1, c.queries, c.heads * c.dim});
  q.fill(random, -1, 1);
  const auto plain_of = [&](const Tensor& t, int64_t width) {
    Tensor plain(RLX_F32, cache_dims(c, c.dim));
    for (size_t i = 0; i < plain.size(); i++) {
      const size_t d = static_cast<size_t>(c.dim);
      plain.set(i, t.get(i / d * static_cast<size_t>(width) + i % d));
    }
    return plain;
  };
  const int64_t blocks = (c.dim + 31) / 32 * 32;
  Tensor k(RLX_Q8_0, cache_dims(c, blocks)), v(RLX_Q8_0, cache_dims(c, blocks));
  k.fill(random, 0.001, 0.01), v.fill(random, 0.001, 0.01);
  for (Tensor* t : {&k, &v})  // what fills up the last block is zero
    for (size_t i = 0; i < t->size(); i++)
      if (static_cast<int64_t>(i) % blocks >= c.dim) t->bytes[i / 32 * 34 + 2 + i % 32] = 0;
  Tensor k32 = plain_of(k, blocks), v32 = plain_of(v, blocks);
  same_values(suite, "attention over q8_0", attend(suite, c, q, k, v), attend(suite, c, q, k32, v32), 2e-6);

  Stored coded = c;
  for (const int bits : {4, 5, 6, 8}) {
    coded.codec = 16 + bits;
    Tensor packed[2] = {Tensor(RLX_U8, cache_dims(c, c.dim * bits / 8)), Tensor(RLX_U8, cache_dims(c, c.dim * bits / 8))};
    const int64_t norm_count = c.dim > 256 ? 2 : 1;
    Tensor norms[2] = {Tensor(RLX_F32, cache_dims(c, norm_count)), Tensor(RLX_F32, cache_dims(c, norm_count))};
    Tensor plain[2] = {Tensor(RLX_F32, {1, c.slots, c.kv_heads * c.dim}), Tensor(RLX_F32, {1, c.slots, c.kv_heads * c.dim})};
    Tensor pos(RLX_I32, {});
    const double head = c.head_major ? 1 : 0, dim = static_cast<double>(c.dim);
    for (size_t i = 0; i < 2; i++) {
      plain[i].fill(random, -1, 1);
      suite.run("kv_quantize", {&packed[i], &norms[i], &plain[i], &pos, nullptr, nullptr, nullptr}, {&packed[i], &norms[i]}, {head, 0, 0, 0, coded.codec, dim});
      suite.run("kv_dequantize", {&packed[i], &norms[i], &pos}, {&plain[i]}, {head, 0, coded.codec, dim, 1});
    }
    Stored token = c;  // kv_dequantize gives tokens
    token.head_major = false;
    same_values(suite, "attention over codes", attend(suite, coded, q, packed[0], packed[1], &norms[0], &norms[1]), attend(suite, token, q, plain[0], plain[1]), 1e-5);
  }
}

// A ring is read as the same keys in order, with the same bits.
void rings(Suite& suite, Stored c) {
  Random random(5);
  Tensor q(RLX_F32, {1, c.queries, c.heads * c.dim}), k(RLX_F16, cache_dims(c, c.dim)), v(RLX_F16, cache_dims(c, c.dim));
  for (Tensor* t : {&q, &k, &v}) t->fill(random, -1, 1);
  const Tensor straight = attend(suite, c, q, k, v);
  Tensor rolled[2] = {k, v};
  const size_t dim = static_cast<size_t>(c.dim), slots = static_cast<size_t>(c.slots), heads = static_cast<size_t>(c.kv_heads);
  for (const size_t first : {size_t{1}, slots / 3, slots - 1}) {
    const Tensor* from[2] = {&k, &v};
    for (size_t side = 0; side < 2; side++)
      for (size_t i = 0; i < k.size(); i++) {
        const size_t row = i / dim, slot = c.head_major ? row % slots : row / heads, to = (slot + first) % slots;
        rolled[side].set((c.head_major ? row / slots * slots + to : to * heads + row % heads) * dim + i % dim, from[side]->get(i));
      }
    c.ring_start = static_cast<int64_t>(first);
    suite.expect(attend(suite, c, q, rolled[0], rolled[1]).bytes == straight.bytes, "a ring is read as the same keys in order");
  }
}

}  // namespace

void test_attention(Suite& suite) {
  for (const bool head_major : {true, false}) {
    for (const Stored& c : {Stored{1, 8, 2, 64, 300, head_major}, Stored{5, 3, 1, 40, 50, head_major}, Stored{1, 2, 2, 80, 33, head_major},
                            Stored{2, 2, 1, 320, 20, head_major}, Stored{12, 6, 2, 48, 270, head_major}})
      stored_caches(suite, c);
    rings(suite, {1, 4, 2, 64, 600, head_major});
    rings(suite, {3, 4, 2, 20, 37, head_major});
  }
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
