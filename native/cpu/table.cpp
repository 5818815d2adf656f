// Joins the families of one instruction set into the table that the loader chooses from.
#include "families.h"

#define RLX_CAT2(a, b) a##b
#define RLX_CAT(a, b) RLX_CAT2(a, b)
#define RLX_TEXT2(a) #a
#define RLX_TEXT(a) RLX_TEXT2(a)

namespace {

enum { MOST_KERNELS = 128 };
rlx_kernel_entry entries[MOST_KERNELS];

rlx_kernel_table join() {
  namespace base = rlx::RLX_BASE;
  namespace own = rlx::RLX_ISA;
  const rlx_kernel_list lists[] = {
      own::linear_kernels(),  own::matmul_kernels(), own::conv_kernels(),     own::attention_kernels(), base::vm_kernels(),        base::copy_kernels(),   base::norm_kernels(),
      base::softmax_kernels(), base::reduce_kernels(),   base::select_kernels(),    base::scan_kernels(),   base::embedding_kernels(),
      base::gather_kernels(),  base::kv_kernels(),       base::kv_quantize_kernels(), base::rope_kernels(),      base::route_kernels(),
  };
  size_t count = 0;
  for (const auto& list : lists)
    for (size_t i = 0; i < list.count && count < MOST_KERNELS; i++) entries[count++] = list.entries[i];
  rlx_kernel_table table = {RLX_TEXT(RLX_ISA), entries, count, nullptr, 0};
  table.packers = own::packers(&table.n_packers);
  return table;
}

}  // namespace

extern "C" const rlx_kernel_table* RLX_CAT(rlx_table_, RLX_ISA)();
extern "C" const rlx_kernel_table* RLX_CAT(rlx_table_, RLX_ISA)() {
  static const rlx_kernel_table table = join();
  return &table;
}
