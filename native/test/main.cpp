// Runs the kernels of every instruction set that this machine has, against plain loops in double precision.
#include <cstdio>

#include "../cpu/isa.h"
#include "harness.h"

// Of all results that are defined to the bit, on every machine.
constexpr uint64_t kDigest = 0xd08452098c54045e;

int main() {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // what was found before a crash
  rlx_pool alone(1), crowd(3);
  size_t passed = 0, failed = 0;
  for (const rlx_kernel_table* table : rlx::supported_tables()) {
    rlx_test::Suite suite(*table, alone, crowd);
    rlx_test::test_conversions(suite);
    rlx_test::test_elementwise(suite);
    rlx_test::test_rows(suite);
    rlx_test::test_reductions(suite);
    rlx_test::test_linear(suite);
    rlx_test::test_conv(suite);
    rlx_test::test_attention(suite);
    rlx_test::test_kv(suite);
    rlx_test::test_kv_quantize(suite);
    suite.expect(suite.hash == kDigest, "the bits differ from those of other machines");
    rlx_test::test_malformed(suite);
    std::printf("%s: %zu checks, %zu failed (digest %016llx)\n", table->isa, suite.checks, suite.failures, static_cast<unsigned long long>(suite.hash));
    passed += suite.checks - suite.failures;
    failed += suite.failures;
  }
  std::printf("%zu passed, %zu failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}
