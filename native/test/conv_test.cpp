// conv1d against sums in double precision, tap by tap on the padded signal.
#include <cmath>

#include "harness.h"

#define RLX_BASE numbers
#include "../cpu/vm_ops.h"
#undef RLX_BASE

namespace rlx_test {
namespace {

using namespace rlx::numbers;

struct Shape {
  int64_t batch, channels, length, cout, taps, stride, padding, dilation, groups;
  int64_t positions() const { return (length + 2 * padding - dilation * (taps - 1) - 1) / stride + 1; }
  std::vector<double> params(double own) const {
    return {own, static_cast<double>(stride), static_cast<double>(padding), static_cast<double>(dilation), static_cast<double>(groups)};
  }
};

void conv(Suite& suite, int32_t x_dtype, int32_t w_dtype, const Shape& s) {
  Random random(static_cast<uint64_t>(s.length * 1009 + s.cout));
  const int64_t depth = s.channels / s.groups;
  Tensor x(x_dtype, {s.batch, s.channels, s.length}), w(w_dtype, {s.cout, depth, s.taps}), bias(w_dtype, {s.cout});
  Tensor y(x_dtype, {s.batch, s.cout, s.positions()}), plain = y, fused = y, shift(x_dtype, {s.positions()});
  x.fill(random, -2, 2);
  w.fill(random, -0.5, 0.5);
  bias.fill(random, -1, 1);
  shift.fill(random, -1, 1);
  suite.run("conv1d", {&x, &w, &bias}, {&y}, s.params(3));
  suite.run("conv1d", {&x, &w}, {&plain}, s.params(2));
  const bool f64 = x_dtype == RLX_F64;
  if (!f64) {
    // max(y, 0) + shift, on the result as the output's dtype holds it.
    const uint32_t round = x_dtype == RLX_F16 ? OP_TO_F16 : x_dtype == RLX_BF16 ? OP_TO_BF16 : OP_TO_F32;
    const auto body = bytecode(Class::f32, 2, 6, {{OP_LOAD, 0, 0}, {round, 1, 0}, {OP_CONST, 2}, {OP_MAX, 3, 1, 2}, {OP_LOAD, 4, 1}, {OP_ADD, 5, 3, 4}}, 5);
    suite.run("conv1d", {&x, &w, &bias, &shift}, {&fused}, s.params(3), body);
  }
  const double unit = roundoff(f64 ? RLX_F64 : RLX_F32);
  for (size_t at = 0; at < y.size(); at++) {
    const auto p = static_cast<int64_t>(at) % s.positions(), o = static_cast<int64_t>(at) / s.positions() % s.cout, n = static_cast<int64_t>(at) / s.positions() / s.cout;
    double sum = 0, size = 0;
    for (int64_t k = 0; k < depth; k++)
      for (int64_t tap = 0; tap < s.taps; tap++) {
        const int64_t from = p * s.stride + tap * s.dilation - s.padding;
        if (from < 0 || from >= s.length) continue;
        const int64_t channel = o / (s.cout / s.groups) * depth + k;
        const double term = x.get(static_cast<size_t>((n * s.channels + channel) * s.length + from)) * w.get(static_cast<size_t>((o * depth + k) * s.taps + tap));
        sum += term, size += std::fabs(term);
      }
    const double b = bias.get(static_cast<size_t>(o));
    const double bound = static_cast<double>(depth * s.taps + 3) * unit * (size + std::fabs(b)) + tiniest(x_dtype);
    const double store = 1.01 * roundoff(x_dtype);
    suite.near("conv1d", y.get(at), sum + b, bound + store * std::fabs(sum + b));
    suite.near("conv1d without bias", plain.get(at), sum, bound + store * std::fabs(sum));
    if (!f64) {
      const double relu = std::fmax(y.get(at), 0);
      suite.near("epilogue", fused.get(at), relu + shift.get(static_cast<size_t>(p)), store * (relu + 1) + tiniest(x_dtype));
    }
  }
}

}  // namespace

void test_conv(Suite& suite) {
  const Shape shapes[] = {
      {1, 1, 1, 1, 1, 1, 0, 1, 1},   {2, 3, 9, 5, 3, 1, 1, 1, 1},    {1, 5, 10, 7, 3, 2, 1, 1, 1}, {2, 4, 11, 6, 4, 3, 5, 2, 2},
      {1, 6, 7, 6, 2, 1, 0, 3, 6},   {1, 70, 130, 67, 3, 1, 1, 1, 1}, {1, 400, 60, 3, 3, 2, 1, 1, 1},
  };
  for (const Shape& s : shapes)
    for (const int32_t dtype : {RLX_F32, RLX_F16, RLX_BF16, RLX_F64}) conv(suite, dtype, dtype, s);
  conv(suite, RLX_F32, RLX_F16, shapes[2]);

  Tensor x(RLX_F32, {1, 4, 8}), w(RLX_F32, {6, 2, 3}), y(RLX_F32, {1, 6, 8}), shorter(RLX_F32, {1, 6, 7});
  suite.run("conv1d", {&x, &w}, {&y}, {2, 1, 1, 1, 2});
  suite.expect(!suite.call("conv1d", {&x, &w}, {&shorter}, {2, 1, 1, 1, 2}).empty(), "an output of another length");
  suite.expect(!suite.call("conv1d", {&x, &w}, {&y}, {2, 1, 1, 1, 1}).empty(), "channels of another number of groups");
  suite.expect(!suite.call("conv1d", {&x, &w}, {&y}, {2, 0, 1, 1, 2}).empty(), "no stride");
}

}  // namespace rlx_test
