// Which kernel tables this machine can run.
#pragma once
#include <vector>

#include "kernel.h"

namespace rlx {
// Best first; never empty.
std::vector<const rlx_kernel_table*> supported_tables();
}  // namespace rlx
