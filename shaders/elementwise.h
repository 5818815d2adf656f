// What generated elementwise kernels are made of (packages/backend-metal/src/msl/elementwise.ts).
#pragma once
#include "broadcast.h"
#include "scalar.h"

constant uint ELEMENTS_PER_THREAD [[function_constant(0)]];

// Neighbouring threads have neighbouring elements, also when a thread has several.
inline uint element_index(uint group, uint thread_index, uint k) { return (group * ELEMENTS_PER_THREAD + k) * 256 + thread_index; }
