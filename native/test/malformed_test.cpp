// Calls that no compiler would write: a kernel gives an error text or stays inside its operands, and never brings the process down.
// (AddressSanitizer sees the first byte beyond an operand.)
#include <cmath>

#include "harness.h"

namespace rlx_test {
namespace {

Tensor operand(Random& random) {
  static const int32_t kDtypes[] = {RLX_F32, RLX_F32, RLX_F32, RLX_F16, RLX_BF16, RLX_F64, RLX_I32, RLX_I32, RLX_I64, RLX_U8, RLX_BOOL, RLX_Q8_0, RLX_Q4_K};
  const int32_t dtype = kDtypes[random.below(sizeof kDtypes / sizeof *kDtypes)];
  std::vector<int64_t> dims;
  for (size_t rank = random.below(5); rank > 0; rank--) dims.push_back(static_cast<int64_t>(random.below(4)));
  if (is_block(dtype)) dims.push_back(dtype == RLX_Q8_0 ? 32 : 256);
  Tensor t(dtype, dims);
  for (uint8_t& b : t.bytes) b = static_cast<uint8_t>(random.below(3) == 0 ? random.bits() : random.below(3));
  return t;
}

}  // namespace

void test_malformed(Suite& suite) {
  constexpr size_t kRounds = 1500;
  Random random(99);
  static const double kParams[] = {0, 1, 1, 2, 3, 4, 0.5, -1, 7, 1e18, 1e300, -1e300, INFINITY, NAN};
  for (size_t i = 0; i < suite.table.n_kernels; i++) {
    const char* kernel = suite.table.kernels[i].name;
    suite.expect(!suite.call(kernel, {}, {}, {}).empty(), std::string(kernel) + " without operands");
    for (size_t round = 0; round < kRounds; round++) {
      std::vector<Tensor> in, out;
      for (size_t n = random.below(11); n > 0; n--) in.push_back(operand(random));
      for (size_t n = random.below(5); n > 0; n--) out.push_back(operand(random));
      // Often enough the shapes agree, and the kernel gets past its first checks.
      if (!in.empty() && !out.empty() && random.below(2)) out[0] = in[0];
      if (in.size() > 1 && random.below(3) == 0) in[1] = in[0];
      Tensors inputs, outputs;
      for (Tensor& t : in) inputs.push_back(random.below(6) ? &t : nullptr);
      for (Tensor& t : out) outputs.push_back(&t);
      std::vector<double> params;
      for (size_t n = random.below(10); n > 0; n--) params.push_back(kParams[random.below(sizeof kParams / sizeof *kParams)]);
      std::vector<uint8_t> blob;
      if (random.below(3) == 0) blob = bytecode(Class::f32, static_cast<uint32_t>(inputs.size()), 2, {{static_cast<uint32_t>(random.below(44)), 0, static_cast<uint32_t>(random.below(4)), 0}}, 0);
      if (!blob.empty() && random.below(3) == 0) blob[random.below(blob.size())] = static_cast<uint8_t>(random.bits());
      (void)suite.call(kernel, inputs, outputs, params, blob);
    }
  }
}

}  // namespace rlx_test
