// linear, grouped_linear and matmul against sums in double precision. A float sum of k terms in any order is within k roundoffs of
// sum |x w|; block weights meet activations that the test quantizes in the same way, so only the sum over blocks rounds.
#include <cmath>

#include "../cpu/kernel.h"
#include "harness.h"

#define RLX_BASE numbers
#include "../cpu/vm_ops.h"
#undef RLX_BASE

namespace rlx_test {
namespace {

using namespace rlx::numbers;

struct Sum {
  double value = 0, size = 0;
  void add(double a, double b) { value += a * b, size += std::fabs(a * b); }
  double bound(size_t terms) const { return static_cast<double>(terms + 2) * roundoff(RLX_F32) * size + tiniest(RLX_F32) * static_cast<double>(terms); }
};

// Rows of x as the kernels see them: themselves, or d q per block of 32 with d the largest magnitude / 127 in f32.
std::vector<double> activations(const Tensor& x, bool quantized) {
  std::vector<double> out(x.size());
  for (size_t i = 0; i < x.size(); i++) out[i] = x.get(i);
  for (size_t at = 0; quantized && at < x.size(); at += 32) {
    float peak = 0;
    for (size_t i = at; i < at + 32; i++) peak = std::fmax(peak, std::fabs(static_cast<float>(out[i])));
    const float scale = peak / 127.0f;
    const float inverse = scale != 0 ? 1.0f / scale : 0.0f;
    for (size_t i = at; i < at + 32; i++) out[i] = static_cast<double>(scale) * static_cast<double>(std::nearbyintf(static_cast<float>(out[i]) * inverse));
  }
  return out;
}

Tensor prepared(Suite& suite, const Tensor& w) { return is_block(w.dtype) ? suite.pack("rows16", w) : w; }

void linear(Suite& suite, int32_t x_dtype, int32_t w_dtype, int64_t m, int64_t n, int64_t k) {
  Random random(static_cast<uint64_t>(m * 1000003 + n * 1009 + k));
  Tensor x(x_dtype, {m, k}), w(w_dtype, {n, k}), bias(RLX_F32, {n}), residual(x_dtype, {m, n}), y(x_dtype, {m, n}), fused(x_dtype, {m, n});
  x.fill(random, -2, 2);
  w.fill(random, -0.5, 0.5);
  bias.fill(random, -1, 1);
  residual.fill(random, -1, 1);
  const std::vector<double> xs = activations(x, is_block(w_dtype));
  Tensor weight = prepared(suite, w);
  suite.run("linear", {&x, &weight, &bias}, {&y}, {3});
  // max(y, 0) + residual, on the result as the output's dtype holds it.
  const uint32_t round = x_dtype == RLX_F16 ? OP_TO_F16 : x_dtype == RLX_BF16 ? OP_TO_BF16 : OP_TO_F32;
  const auto body = bytecode(Class::f32, 2, 6, {{OP_LOAD, 0, 0}, {round, 1, 0}, {OP_CONST, 2}, {OP_MAX, 3, 1, 2}, {OP_LOAD, 4, 1}, {OP_ADD, 5, 3, 4}}, 5);
  suite.run("linear", {&x, &weight, &bias, &residual}, {&fused}, {3}, body);
  for (int64_t r = 0; r < m; r++)
    for (int64_t c = 0; c < n; c++) {
      Sum sum;
      for (int64_t i = 0; i < k; i++) sum.add(xs[static_cast<size_t>(r * k + i)], w.get(static_cast<size_t>(c * k + i)));
      sum.add(bias.get(static_cast<size_t>(c)), 1);
      const auto at = static_cast<size_t>(r * n + c);
      const double bound = sum.bound(static_cast<size_t>(k)) + std::fabs(sum.value) * 1.01 * roundoff(x_dtype);
      suite.near("linear", y.get(at), sum.value, bound);
      suite.near("epilogue", fused.get(at), std::fmax(y.get(at), 0) + residual.get(at), 1.01 * roundoff(x_dtype) * (std::fmax(y.get(at), 0) + 1));
    }
}

// Small integers: every sum is exact, whatever its order and its instructions.
void exact(Suite& suite, int32_t w_dtype) {
  Random random(3);
  constexpr int64_t kRows = 5, kOut = 37, kTerms = 96;
  Tensor x(RLX_F32, {kRows, kTerms}), w(w_dtype, {kOut, kTerms}), y(RLX_F32, {kRows, kOut});
  for (size_t i = 0; i < x.size(); i++) x.set(i, i % 32 == 0 ? 127 : static_cast<double>(random.below(255)) - 127);
  w.fill(random, 1, 1);
  for (size_t i = 0; !is_block(w_dtype) && i < w.size(); i++) w.set(i, static_cast<double>(random.below(255)) - 127);
  Tensor weight = prepared(suite, w);
  suite.run("linear", {&x, &weight, nullptr}, {&y}, {3});
  for (size_t at = 0; at < y.size(); at++) {
    double sum = 0;
    for (size_t i = 0; i < kTerms; i++) sum += x.get(at / kOut * kTerms + i) * w.get(at % kOut * kTerms + i);
    suite.near("exact linear", y.get(at), sum, 0);
  }
  suite.digest(y);
}

void grouped(Suite& suite, int32_t w_dtype, bool shared) {
  Random random(4);
  constexpr int64_t kTokens = 5, kExperts = 3, kOut = 19, kTerms = 64, kEach = 2;
  Tensor x(RLX_F32, shared ? std::vector<int64_t>{kTokens, kTerms} : std::vector<int64_t>{kTokens, kEach, kTerms});
  Tensor w(w_dtype, {kExperts, kOut, kTerms}), experts(RLX_I32, {kTokens, kEach}), y(RLX_F32, {kTokens, kEach, kOut});
  x.fill(random, -1, 1);
  w.fill(random, -1, 1);
  for (size_t i = 0; i < experts.size(); i++) experts.set(i, static_cast<double>(random.below(kExperts)));
  const std::vector<double> xs = activations(x, is_block(w_dtype));
  Tensor weight = prepared(suite, w);
  suite.run("grouped_linear", {&x, &weight, &experts}, {&y}, {3});
  for (size_t at = 0; at < y.size(); at++) {
    const size_t row = at / kOut, expert = static_cast<size_t>(experts.get(row));
    Sum sum;
    for (size_t i = 0; i < kTerms; i++) sum.add(xs[(shared ? row / kEach : row) * kTerms + i], w.get((expert * kOut + at % kOut) * kTerms + i));
    suite.near("grouped_linear", y.get(at), sum.value, sum.bound(kTerms));
  }
  experts.set(3, kExperts);
  suite.expect(!suite.call("grouped_linear", {&x, &weight, &experts}, {&y}, {3}).empty(), "an expert that is not there");
}

void matmul(Suite& suite, int32_t dtype, int64_t m, int64_t n, int64_t k, bool transposed) {
  Random random(static_cast<uint64_t>(m + n + k));
  Tensor a(dtype, {2, m, k}), b(dtype, transposed ? std::vector<int64_t>{1, n, k} : std::vector<int64_t>{1, k, n}), y(dtype, {2, m, n});
  a.fill(random, -1, 1);
  b.fill(random, -1, 1);
  suite.run("matmul", {&a, &b}, {&y}, {2, transposed ? 1.0 : 0.0});
  for (int64_t r = 0; r < 2 * m; r++)
    for (int64_t c = 0; c < n; c++) {
      Sum sum;
      for (int64_t i = 0; i < k; i++) sum.add(a.get(static_cast<size_t>(r * k + i)), b.get(static_cast<size_t>(transposed ? c * k + i : i * n + c)));
      suite.near("matmul", y.get(static_cast<size_t>(r * n + c)), sum.value, sum.bound(static_cast<size_t>(k)) + std::fabs(sum.value) * 1.01 * roundoff(dtype));
    }
}

struct Shape {
  int64_t m, n, k;
};

}  // namespace

void test_linear(Suite& suite) {
  for (const int32_t w : {RLX_F32, RLX_F16, RLX_BF16}) {
    for (const Shape s : {Shape{1, 1, 1}, {1, 17, 33}, {3, 50, 64}, {6, 7, 100}, {66, 50, 70}, {2, 13, 1100}}) linear(suite, RLX_F32, w, s.m, s.n, s.k);
    linear(suite, w, w, 3, 21, 45);
    exact(suite, w);
    grouped(suite, w, true);
    matmul(suite, w, 5, 23, 37, false);
    matmul(suite, w, 67, 9, 70, true);
  }
  for (const int32_t w : {RLX_Q8_0, RLX_Q4_0}) {
    for (const Shape s : {Shape{1, 1, 32}, {1, 17, 64}, {3, 50, 96}, {9, 33, 320}, {66, 40, 64}}) linear(suite, RLX_F32, w, s.m, s.n, s.k);
    linear(suite, RLX_F16, w, 3, 21, 64);
    exact(suite, w);
    grouped(suite, w, true);
    grouped(suite, w, false);
  }
}

}  // namespace rlx_test
