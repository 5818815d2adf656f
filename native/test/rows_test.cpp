// Norms and softmax: f64 inside (norms) or an f32 exponential (softmax), results rounded once.
#include <cmath>

#include "harness.h"

namespace rlx_test {
namespace {

void norms(Suite& suite, int32_t dtype, int64_t rows, int64_t n) {
  Random random(static_cast<uint64_t>(100 * n + dtype));
  Tensor x(dtype, {rows, n}), residual(dtype, {rows, n}), weight(RLX_F32, {n}), bias(RLX_F32, {n}), y(dtype, {rows, n}), sum(dtype, {rows, n});
  x.fill(random, -2, 3);
  residual.fill(random, -1, 1);
  weight.fill(random, -2, 2);
  bias.fill(random, -1, 1);
  constexpr double kEps = 1e-5;
  const auto check = [&](const Tensor& from, bool centered) {
    for (int64_t r = 0; r < rows; r++) {
      const auto at = [&](int64_t i) { return from.get(static_cast<size_t>(r * n + i)); };
      double mean = 0, square = 0;
      for (int64_t i = 0; i < n && centered; i++) mean += at(i) / static_cast<double>(n);
      for (int64_t i = 0; i < n; i++) square += (at(i) - mean) * (at(i) - mean) / static_cast<double>(n);
      for (int64_t i = 0; i < n; i++) {
        const auto c = static_cast<size_t>(i);
        const double scaled = (at(i) - mean) / std::sqrt(square + kEps) * weight.get(c), shift = centered ? bias.get(c) : 0;
        // One rounding to f32, one to the output; the sums in f64 are exact beside those.
        const double bound = (std::fabs(scaled) + std::fabs(shift)) * (roundoff(dtype) + roundoff(RLX_F32)) + tiniest(dtype);
        suite.near("norm", y.get(static_cast<size_t>(r * n + i)), scaled + shift, bound);
      }
    }
    suite.digest(y);
  };
  suite.run("rms_norm", {&x, &weight}, {&y}, {kEps});
  check(x, false);
  suite.run("layer_norm", {&x, &weight, &bias}, {&y}, {kEps});
  check(x, true);
  suite.run("residual_rms_norm", {&x, &residual, &weight}, {&sum, &y}, {kEps});
  check(sum, false);
  for (size_t i = 0; i < x.size(); i++) suite.near("sum", sum.get(i), x.get(i) + residual.get(i), std::fabs(x.get(i) + residual.get(i)) * 1.01 * roundoff(dtype));
}

void softmax(Suite& suite, int32_t dtype, const std::vector<int64_t>& dims, size_t axis) {
  Random random(static_cast<uint64_t>(dims[axis]));
  Tensor x(dtype, dims), y(dtype, dims);
  x.fill(random, -20, 20);
  if (dims[axis] > 3) x.set(0, -INFINITY);
  size_t inner = 1;
  for (size_t i = axis + 1; i < dims.size(); i++) inner *= static_cast<size_t>(dims[i]);
  const auto length = static_cast<size_t>(dims[axis]);
  for (const bool log : {false, true}) {
    suite.run(log ? "log_softmax" : "softmax", {&x}, {&y}, {static_cast<double>(axis)});
    for (size_t i = 0; i < x.size(); i++) {
      const size_t start = i / (inner * length) * inner * length + i % inner;
      double max = -INFINITY, sum = 0;
      for (size_t j = 0; j < length; j++) max = std::fmax(max, x.get(start + j * inner));
      for (size_t j = 0; j < length; j++) sum += std::exp(x.get(start + j * inner) - max);
      const double expected = log ? x.get(i) - max - std::log(sum) : std::exp(x.get(i) - max) / sum;
      // The exponential is within 3 units (6 roundoffs) of an argument that was rounded at |x - max| <= 40.
      const double relative = (6 + 40 + 1) * roundoff(RLX_F32);
      const double bound = log ? relative + std::fabs(expected) * (roundoff(dtype) + roundoff(RLX_F32)) : 2 * expected * relative + expected * roundoff(dtype) + tiniest(dtype);
      suite.near("softmax", y.get(i), expected, bound);
    }
    if (!log) suite.digest(y);
  }
}

}  // namespace

void test_rows(Suite& suite) {
  for (const int32_t dtype : {RLX_F32, RLX_F16, RLX_BF16})
    for (const int64_t n : {1, 7, 64, 513, 1030}) norms(suite, dtype, 3, n);
  for (const int32_t dtype : {RLX_F32, RLX_F16}) {
    softmax(suite, dtype, {3, 1}, 1);
    softmax(suite, dtype, {2, 37}, 1);
    softmax(suite, dtype, {2, 1025}, 1);
    softmax(suite, dtype, {2, 9, 70}, 1);
  }
  Tensor x(RLX_F32, {1, 5}), y(RLX_F32, {1, 5});
  x.set(2, NAN);
  suite.run("softmax", {&x}, {&y}, {1});
  for (size_t i = 0; i < 5; i++) suite.near("softmax of NaN", y.get(i), NAN, 0);
}

}  // namespace rlx_test
