#pragma once

namespace softmetal {

// From now on signals that kernels raise on this thread of the CPU (bad addresses, division by zero, bounds traps) end their threadgroup; all others go to the
// handlers that were there before.
class TrapGuard {
 public:
  TrapGuard();
  TrapGuard(const TrapGuard &) = delete;
  TrapGuard &operator=(const TrapGuard &) = delete;
  ~TrapGuard();
};

// After a signal on this thread whose handler did not return.
void signalHandlerLeft();

// Whether the trap instruction at `code` stands for a division by zero. (x86 has a signal of its own for that.)
bool isDivisionTrap(const void *code);

}  // namespace softmetal
