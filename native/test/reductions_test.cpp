// Reductions, selections and sums along an axis.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "harness.h"

namespace rlx_test {
namespace {

constexpr int64_t A = 3, B = 37, C = 11;

// Elements of [A, B, C] that go into output o when the axes of `mask` are reduced.
std::vector<size_t> terms(uint32_t mask, size_t o) {
  std::vector<size_t> out;
  for (size_t i = 0; i < A * B * C; i++) {
    const size_t index[] = {i / (B * C), i / C % B, i % C}, dims[] = {A, B, C};
    size_t at = 0;
    for (size_t d = 0; d < 3; d++)
      if (!(mask >> d & 1)) at = at * dims[d] + index[d];
    if (at == o) out.push_back(i);
  }
  return out;
}

void reduce(Suite& suite, int32_t dtype, uint32_t mask) {
  const bool floats = dtype <= RLX_F64;
  Random random(mask);
  Tensor x(dtype, {A, B, C});
  x.fill(random, floats ? -1.1 : -100, floats ? 1.1 : 100);
  const auto wrapped = [&](double v) { return dtype == RLX_I8 ? static_cast<double>(static_cast<int8_t>(static_cast<int64_t>(v))) : v; };
  std::vector<int64_t> dims;
  for (size_t d = 0; d < 3; d++)
    if (!(mask >> d & 1)) dims.push_back(x.dims[d]);
  for (const char* kernel : {"reduce_sum", "reduce_mean", "reduce_max", "reduce_min", "reduce_prod"}) {
    const std::string name = kernel;
    if (!floats && (name == "reduce_mean" || name == "reduce_prod")) continue;
    Tensor y(dtype, dims);
    suite.run(kernel, {&x}, {&y}, {static_cast<double>(mask)});
    for (size_t o = 0; o < y.size(); o++) {
      const std::vector<size_t> from = terms(mask, o);
      double sum = 0, size = 0, product = 1, max = -INFINITY, min = INFINITY;
      for (const size_t i : from) {
        const double v = x.get(i);
        sum += v, size += std::fabs(v), product *= v, max = std::fmax(max, v), min = std::fmin(min, v);
      }
      const auto n = static_cast<double>(from.size());
      // The kernel sums in f64 as well, in another order: n roundings each, then one to the output.
      const double order = 2 * n * roundoff(RLX_F64);
      if (name == "reduce_sum") suite.near(name, y.get(o), wrapped(sum), floats ? size * order + std::fabs(sum) * 1.01 * roundoff(dtype) + tiniest(dtype) : 0);
      if (name == "reduce_mean") suite.near(name, y.get(o), sum / n, size / n * order + std::fabs(sum / n) * 1.01 * roundoff(dtype) + tiniest(dtype));
      if (name == "reduce_max") suite.near(name, y.get(o), max, 0);
      if (name == "reduce_min") suite.near(name, y.get(o), min, 0);
      if (name == "reduce_prod") suite.near(name, y.get(o), product, std::fabs(product) * (order + 1.01 * roundoff(dtype)) + tiniest(dtype));
    }
    suite.digest(y);
  }
}

// NaN is the largest; among equals the lower index comes first.
void select(Suite& suite) {
  constexpr int64_t kRows = 4, kLength = 301, kMost = 5;
  Random random(5);
  Tensor x(RLX_F32, {kRows, kLength}), values(RLX_F32, {kRows, kMost}), indices(RLX_I32, {kRows, kMost}), best(RLX_I32, {kRows});
  for (size_t i = 0; i < x.size(); i++) x.set(i, static_cast<double>(random.below(40)));
  x.set(2 * kLength + 100, NAN);
  x.set(2 * kLength + 200, NAN);
  suite.run("topk", {&x}, {&values, &indices}, {});
  suite.run("argmax", {&x}, {&best}, {1});
  for (size_t r = 0; r < kRows; r++) {
    const auto key = [&](size_t i) { return std::isnan(x.get(r * kLength + i)) ? INFINITY : x.get(r * kLength + i); };
    std::vector<size_t> order(kLength);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return key(a) > key(b); });
    suite.near("argmax", best.get(r), static_cast<double>(order[0]), 0);
    for (size_t k = 0; k < kMost; k++) {
      suite.near("topk index", indices.get(r * kMost + k), static_cast<double>(order[k]), 0);
      suite.near("topk value", values.get(r * kMost + k), x.get(r * kLength + order[k]), 0);
    }
  }
}

void cumsum(Suite& suite) {
  Random random(6);
  Tensor x(RLX_I32, {5, 67}), y(RLX_I32, {5, 67});
  x.fill(random, -1e6, 1e6);
  suite.run("cumsum", {&x}, {&y}, {1, 1, 1});
  for (size_t r = 0; r < 5; r++) {
    double sum = 0;
    for (size_t i = 67; i-- > 0;) {
      suite.near("cumsum", y.get(r * 67 + i), sum, 0);
      sum += x.get(r * 67 + i);
    }
  }
}

// Rows of a table of every dtype, exactly.
void embedding(Suite& suite) {
  for (const int32_t dtype : {RLX_F32, RLX_F16, RLX_BF16, RLX_Q8_0, RLX_Q4_0}) {
    Random random(8);
    Tensor table(dtype, {9, 96}), ids(RLX_I32, {4}), y(RLX_F32, {4, 96});
    table.fill(random, -1, 1);
    for (size_t i = 0; i < 4; i++) ids.set(i, static_cast<double>(random.below(9)));
    suite.run("embedding", {&table, &ids}, {&y}, {});
    for (size_t i = 0; i < y.size(); i++)
      suite.near("embedding", y.get(i), static_cast<double>(static_cast<float>(table.get(static_cast<size_t>(ids.get(i / 96)) * 96 + i % 96))), 0);
    suite.digest(y);
    ids.set(3, 9);
    suite.expect(!suite.call("embedding", {&table, &ids}, {&y}, {}).empty(), "an id outside of the table");
  }
}

}  // namespace

void test_reductions(Suite& suite) {
  for (const int32_t dtype : {RLX_F32, RLX_F16, RLX_F64, RLX_I32, RLX_I8})
    for (const uint32_t mask : {1u, 2u, 4u, 5u, 6u, 7u}) reduce(suite, dtype, mask);
  select(suite);
  cumsum(suite);
  embedding(suite);
}

}  // namespace rlx_test
