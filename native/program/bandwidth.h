#pragma once
#include <cstddef>

#include "pool.h"

namespace rlx {
// Bytes per second that `pool` reads from `bytes` of memory, the best of a few passes; 0 when there is no memory.
double measure_bandwidth(rlx_pool& pool, size_t bytes);
}  // namespace rlx
