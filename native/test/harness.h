// What the tests of the kernels share: tensors, reproducible numbers, calls by name, and counted expectations.
#pragma once
#include <initializer_list>
#include <string>
#include <vector>

#include "../cpu/kernel.h"
#include "../program/pool.h"

namespace rlx_test {

// splitmix64: the same numbers on every machine.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t bits();
  size_t below(size_t n) { return static_cast<size_t>(bits() % n); }
  double uniform(double low, double high);

 private:
  uint64_t state_;
};

// Formats, by plain arithmetic in double precision; encoders round to nearest even.
double decode_f16(uint16_t bits);
double decode_bf16(uint16_t bits);
uint16_t encode_f16(double value);
uint16_t encode_bf16(double value);
size_t dtype_bytes(int32_t dtype, size_t elements);
bool is_block(int32_t dtype);
// Unit roundoff of a float dtype, and its smallest positive number.
double roundoff(int32_t dtype);
double tiniest(int32_t dtype);

// A dense tensor of exactly as many bytes as it needs, so that AddressSanitizer sees the first one beyond.
class Tensor {
 public:
  Tensor(int32_t dtype, std::vector<int64_t> dims);
  Tensor& fill(Random& random, double low, double high);
  size_t size() const;
  // Element i, exactly; for q8_0 and q4_0 the value that the block encodes.
  double get(size_t i) const;
  void set(size_t i, double value);
  rlx_tensor view();

  int32_t dtype;
  std::vector<int64_t> dims;
  std::vector<uint8_t> bytes;
};

using Tensors = std::vector<Tensor*>;  // NULL: an absent operand

// The kernels of one instruction set under test.
class Suite {
 public:
  Suite(const rlx_kernel_table& table, rlx_pool& alone, rlx_pool& crowd) : table(table), alone_(alone), crowd_(crowd) {}

  // Calls a kernel with one thread and with several, expecting the same bits. Returns its error text, "" for none.
  std::string call(const char* kernel, const Tensors& in, const Tensors& out, const std::vector<double>& params, const std::vector<uint8_t>& blob = {});
  // As call, expecting success.
  void run(const char* kernel, const Tensors& in, const Tensors& out, const std::vector<double>& params, const std::vector<uint8_t>& blob = {});
  // A weight in a packed layout.
  Tensor pack(const char* layout, const Tensor& weight);

  bool expect(bool condition, const std::string& text);
  void near(const std::string& what, double got, double expected, double bound);
  void same(const std::string& what, double got, double expected);
  // Results that must be the same bits on every machine; all NaN count as one.
  void digest(const Tensor& t);

  const rlx_kernel_table& table;
  size_t checks = 0, failures = 0;
  uint64_t hash = 0xcbf29ce484222325u;

 private:
  rlx_pool &alone_, &crowd_;
};

// Bytecode of an elementwise body; see cpu/vm.h.
struct Step {
  uint32_t op, target, a = 0, b = 0, c = 0;
  double imm = 0;
};
enum class Class : uint32_t { f32, f64, i64 };
std::vector<uint8_t> bytecode(Class cls, uint32_t operands, uint32_t registers, std::initializer_list<Step> steps, uint32_t result);

void test_conversions(Suite&);
void test_elementwise(Suite&);
void test_rows(Suite&);
void test_reductions(Suite&);
void test_linear(Suite&);
void test_conv(Suite&);
void test_attention(Suite&);
void test_kv(Suite&);
void test_kv_quantize(Suite&);
void test_malformed(Suite&);

}  // namespace rlx_test
