// The vector bytecode: functions against the C library in double precision, integer arithmetic exactly.
#include <cmath>

#include "../cpu/kernel.h"
#include "harness.h"

#define RLX_BASE numbers
#include "../cpu/vm_ops.h"
#undef RLX_BASE

namespace rlx_test {
namespace {

using namespace rlx::numbers;

std::vector<uint8_t> unary(Class cls, uint32_t op) { return bytecode(cls, 1, 2, {{OP_LOAD, 0, 0}, {op, 1, 0}}, 1); }
std::vector<uint8_t> binary(Class cls, uint32_t op) { return bytecode(cls, 2, 3, {{OP_LOAD, 0, 0}, {OP_LOAD, 1, 1}, {op, 2, 0, 1}}, 2); }

// Numbers of every magnitude in [-limit, limit], and the special ones.
Tensor arguments(uint64_t seed, double limit, size_t count) {
  Random random(seed);
  Tensor x(RLX_F32, {static_cast<int64_t>(count)});
  const double top = std::log2(limit);
  for (size_t i = 0; i < count; i++) {
    const double magnitude = i % 2 ? random.uniform(0, limit) : std::exp2(random.uniform(top - 40, top));
    x.set(i, random.below(2) ? magnitude : -magnitude);
  }
  const double special[] = {0.0, -0.0, INFINITY, -INFINITY, NAN, 1, -1, 0.5, -0.5, 1.5, 2.5, 1e-45, -1e-45, 1.17549435e-38, 3.4028234e38, -3.4028234e38};
  for (size_t i = 0; i < sizeof special / sizeof *special; i++) x.set(i, special[i]);
  return x;
}

struct Function {
  const char* name;
  uint32_t op;
  double (*exact)(double);
  double limit;
  double ulps;    // 0: exact
  bool portable;  // without the C library: the same bits everywhere
};

double sign_of(double x) { return x > 0 ? 1 : x < 0 ? -1 : x; }
double rsqrt_of(double x) { return 1 / std::sqrt(x); }
double sigmoid_of(double x) { return 1 / (1 + std::exp(-x)); }
double minus(double x) { return -x; }

const Function kFunctions[] = {
    {"neg", OP_NEG, minus, 3e38, 0, true},
    {"abs", OP_ABS, std::fabs, 3e38, 0, true},
    {"sign", OP_SIGN, sign_of, 3e38, 0, true},
    {"exp", OP_EXP, std::exp, 100, 3, true},
    {"log", OP_LOG, std::log, 3e38, 3, true},
    {"sqrt", OP_SQRT, std::sqrt, 3e38, 0.5, true},
    {"rsqrt", OP_RSQRT, rsqrt_of, 3e38, 1.5, true},
    {"sin", OP_SIN, std::sin, 1000, 3, false},
    {"cos", OP_COS, std::cos, 1000, 3, false},
    {"tan", OP_TAN, std::tan, 1000, 3, false},
    {"atan", OP_ATAN, std::atan, 100, 3, true},
    {"tanh", OP_TANH, std::tanh, 20, 3, true},
    {"erf", OP_ERF, std::erf, 6, 3, true},
    {"sigmoid", OP_SIGMOID, sigmoid_of, 80, 3, true},
    {"floor", OP_FLOOR, std::floor, 1e6, 0, true},
    {"ceil", OP_CEIL, std::ceil, 1e6, 0, true},
    {"round", OP_ROUND, std::nearbyint, 1e6, 0, true},
    {"trunc", OP_TRUNC, std::trunc, 1e6, 0, true},
};

// Distance of neighbouring f32 at x.
double ulp(double x) {
  const double a = std::fabs(x);
  if (!std::isfinite(a)) return 0;
  return a < 1.17549435e-38 ? 1.4e-45 : std::ldexp(1, std::ilogb(a) - 23);
}

void functions(Suite& suite) {
  constexpr size_t kCount = 3001;
  for (const Function& f : kFunctions) {
    Tensor x = arguments(f.op, f.limit, kCount), y(RLX_F32, {kCount});
    suite.run("elementwise", {&x}, {&y}, {}, unary(Class::f32, f.op));
    for (size_t i = 0; i < kCount; i++) {
      const double expected = f.exact(x.get(i));
      const std::string what = std::string(f.name) + "(" + std::to_string(x.get(i)) + ")";
      if (f.ulps == 0) suite.same(what, y.get(i), expected);
      else if (std::fabs(expected) < 3.4028234e38 || !std::isfinite(expected)) suite.near(what, y.get(i), expected, f.ulps * ulp(expected));
    }
    if (f.portable) suite.digest(y);
  }
}

void powers(Suite& suite) {
  constexpr size_t kCount = 999;
  Random random(7);
  Tensor x(RLX_F32, {kCount}), y(RLX_F32, {kCount}), z(RLX_F32, {kCount});
  for (size_t i = 0; i < kCount; i++) {
    x.set(i, std::exp2(random.uniform(-20, 20)));
    y.set(i, random.uniform(-6, 6));
  }
  suite.run("elementwise", {&x, &y}, {&z}, {}, binary(Class::f32, OP_POW));
  for (size_t i = 0; i < kCount; i++) {
    const double expected = std::pow(x.get(i), y.get(i));
    suite.near("pow", z.get(i), expected, 3 * ulp(expected));
  }
  suite.digest(z);
}

// Broadcast operands, extents that are no multiple of a vector, and NaN and zeros in max and min.
void binaries(Suite& suite) {
  Tensor x = arguments(11, 100, 7 * 61), row = arguments(12, 100, 61), y(RLX_F32, {7, 61});
  x.dims = {7, 61};
  row.set(20, NAN);
  for (const uint32_t op : {OP_ADD, OP_SUB, OP_MUL, OP_DIV, OP_MAX, OP_MIN}) {
    suite.run("elementwise", {&x, &row}, {&y}, {}, binary(Class::f32, op));
    for (size_t i = 0; i < y.size(); i++) {
      const auto a = static_cast<float>(x.get(i)), b = static_cast<float>(row.get(i % 61));
      const float max = std::isnan(a + b) && (std::isnan(a) || std::isnan(b)) ? NAN : a > b || (a == b && !std::signbit(a)) ? a : b;
      const float min = std::isnan(a + b) && (std::isnan(a) || std::isnan(b)) ? NAN : a < b || (a == b && std::signbit(a)) ? a : b;
      const float expected = op == OP_ADD ? a + b : op == OP_SUB ? a - b : op == OP_MUL ? a * b : op == OP_DIV ? a / b : op == OP_MAX ? max : min;
      suite.same("binary", y.get(i), static_cast<double>(expected));
    }
    suite.digest(y);
  }
}

// Floats to integers truncate and saturate, NaN gives 0.
void casts(Suite& suite) {
  Tensor x = arguments(13, 1e11, 500);
  for (const int32_t dtype : {RLX_I8, RLX_U8, RLX_I16, RLX_I32, RLX_U32}) {
    const int width = static_cast<int>(8 * dtype_bytes(dtype, 1));
    const bool is_signed = dtype != RLX_U8 && dtype != RLX_U32;
    const double low = is_signed ? -std::ldexp(1, width - 1) : 0, high = std::ldexp(1, is_signed ? width - 1 : width) - 1;
    Tensor y(dtype, {500});
    suite.run("elementwise", {&x}, {&y}, {}, bytecode(Class::f32, 1, 1, {{OP_LOAD, 0, 0}}, 0));
    for (size_t i = 0; i < 500; i++) {
      const double t = std::trunc(x.get(i));
      suite.near("cast", y.get(i), std::isnan(t) ? 0 : t < low ? low : t > high ? high : t, 0);
    }
    suite.digest(y);
  }
}

void integers(Suite& suite) {
  Random random(17);
  constexpr int64_t kCount = 1003;
  Tensor x(RLX_I32, {kCount}), y(RLX_I32, {kCount}), z(RLX_I32, {kCount});
  for (Tensor* t : {&x, &y})
    for (size_t i = 0; i < t->size(); i++) t->set(i, static_cast<double>(static_cast<int32_t>(random.bits())));
  for (size_t i = 0; i < 50; i++) y.set(i, static_cast<double>(i % 3) - 1);
  x.set(0, -2147483648.0);
  for (const uint32_t op : {OP_ADD, OP_SUB, OP_MUL, OP_DIV, OP_REM, OP_MAX, OP_MIN, OP_AND, OP_OR, OP_XOR}) {
    suite.run("elementwise", {&x, &y}, {&z}, {}, binary(Class::i64, op));
    for (size_t i = 0; i < z.size(); i++) {
      const auto a = static_cast<int64_t>(x.get(i)), b = static_cast<int64_t>(y.get(i));
      const int64_t wide = op == OP_ADD   ? a + b
                           : op == OP_SUB ? a - b
                           : op == OP_MUL ? a * b
                           : op == OP_DIV ? (b == 0 ? 0 : a / b)
                           : op == OP_REM ? (b == 0 ? 0 : a % b)
                           : op == OP_MAX ? std::max(a, b)
                           : op == OP_MIN ? std::min(a, b)
                           : op == OP_AND ? (a & b)
                           : op == OP_OR  ? (a | b)
                                          : (a ^ b);
      suite.near("integers", z.get(i), static_cast<double>(static_cast<int32_t>(static_cast<uint64_t>(wide))), 0);
    }
    suite.digest(z);
  }
}

}  // namespace

void test_elementwise(Suite& suite) {
  functions(suite);
  powers(suite);
  binaries(suite);
  casts(suite);
  integers(suite);
}

}  // namespace rlx_test
