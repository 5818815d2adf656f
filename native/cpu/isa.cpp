#include "isa.h"

#if defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

extern "C" {
const rlx_kernel_table* rlx_table_sse42();
const rlx_kernel_table* rlx_table_avx2();
const rlx_kernel_table* rlx_table_avx512();
const rlx_kernel_table* rlx_table_avx512vnni();
const rlx_kernel_table* rlx_table_avx512bf16();
const rlx_kernel_table* rlx_table_neon();
const rlx_kernel_table* rlx_table_dotprod();
}

namespace rlx {

#if defined(__x86_64__)

std::vector<const rlx_kernel_table*> supported_tables() {
  // These test the operating system's support of the registers too.
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c") &&
                    __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  const bool vnni = avx512 && __builtin_cpu_supports("avx512vnni");
  const bool bf16 = vnni && __builtin_cpu_supports("avx512bf16");
  std::vector<const rlx_kernel_table*> tables;
  if (bf16) tables.push_back(rlx_table_avx512bf16());
  if (vnni) tables.push_back(rlx_table_avx512vnni());
  if (avx512) tables.push_back(rlx_table_avx512());
  if (avx2) tables.push_back(rlx_table_avx2());
  tables.push_back(rlx_table_sse42());
  return tables;
}

#else

std::vector<const rlx_kernel_table*> supported_tables() {
#if defined(__APPLE__)
  const bool dotprod = true;  // every Apple processor that runs macOS on arm64
#else
  const bool dotprod = (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) && (getauxval(AT_HWCAP) & HWCAP_ASIMDHP);
#endif
  std::vector<const rlx_kernel_table*> tables;
  if (dotprod) tables.push_back(rlx_table_dotprod());
  tables.push_back(rlx_table_neon());
  return tables;
}

#endif

}  // namespace rlx
