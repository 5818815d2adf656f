// The kernel lists of one instruction set, one per family; table.cpp joins them.
// RLX_ISA names the variant that is being compiled, RLX_BASE the one whose shared kernels it uses (see CMakeLists.txt).
#pragma once
#include "kernel.h"

struct rlx_kernel_list {
  const rlx_kernel_entry* entries;
  size_t count;
};

namespace rlx {
namespace RLX_BASE {
rlx_kernel_list vm_kernels();
rlx_kernel_list copy_kernels();
rlx_kernel_list norm_kernels();
rlx_kernel_list softmax_kernels();
rlx_kernel_list reduce_kernels();
rlx_kernel_list select_kernels();
rlx_kernel_list scan_kernels();
rlx_kernel_list embedding_kernels();
rlx_kernel_list gather_kernels();
rlx_kernel_list kv_kernels();
rlx_kernel_list kv_quantize_kernels();
rlx_kernel_list rope_kernels();
rlx_kernel_list route_kernels();
}  // namespace RLX_BASE
namespace RLX_ISA {
rlx_kernel_list linear_kernels();
rlx_kernel_list matmul_kernels();
rlx_kernel_list conv_kernels();
rlx_kernel_list attention_kernels();
// Packers of weight layouts, with *count entries.
const rlx_packer_entry* packers(size_t* count);
}  // namespace RLX_ISA
}  // namespace rlx
