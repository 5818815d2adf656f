#pragma once
#include "report.h"

namespace softmetal {

// The line of a .metal file that the code at `address` was made from, by llvm-symbolizer-19. Tens of milliseconds: for reports only.
Place symbolize(const void *address);

}  // namespace softmetal
