#include "traps.h"

#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <mutex>

#include "frames.h"
#include "threadgroup.h"

namespace softmetal {
namespace {

constexpr std::array<int, 5> kSignals{SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
std::array<struct sigaction, kSignals.size()> earlier;
constexpr size_t kSignalStack = 64 * 1024;
thread_local void *signal_stack = nullptr;

const void *codeOf(const void *context) {
  const auto &machine = static_cast<const ucontext_t *>(context)->uc_mcontext;
#if defined(__x86_64__)
  return reinterpret_cast<const void *>(machine.gregs[REG_RIP]);
#else
  return reinterpret_cast<const void *>(machine.pc);
#endif
}

void onSignal(int signal, siginfo_t *info, void *context) {
  Threadgroup *group = Threadgroup::current();
  // Leaves the signal's own stack for the scheduler's; SA_NODEFER keeps the signal deliverable.
  if (group != nullptr && group->inKernel()) group->trap(signal, info->si_addr, codeOf(context));
  for (size_t i = 0; i < kSignals.size(); ++i) {
    if (kSignals[i] != signal) continue;
    if (earlier[i].sa_flags & SA_SIGINFO) return earlier[i].sa_sigaction(signal, info, context);
    if (earlier[i].sa_handler != SIG_DFL && earlier[i].sa_handler != SIG_IGN) return earlier[i].sa_handler(signal);
    sigaction(signal, &earlier[i], nullptr);  // raised again on return, with the default effect
  }
}

void install() {
  struct sigaction action {};
  action.sa_sigaction = onSignal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &action, &earlier[i]);
}

}  // namespace

bool isDivisionTrap([[maybe_unused]] const void *code) {
#if defined(__aarch64__)
  // Clang's traps are `brk #0x5500 + check`; check 3 is that of divisions.
  uint32_t instruction;
  memcpy(&instruction, code, sizeof instruction);
  return (instruction >> 5 & 0xffff) == 0x5503;
#else
  return false;
#endif
}

void signalHandlerLeft() {
  stack_t stack{};
  if (sigaltstack(nullptr, &stack) == 0) forgetFrames(stack.ss_sp, stack.ss_size);
}

TrapGuard::TrapGuard() {
  static std::once_flag once;
  std::call_once(once, install);
  stack_t present{};
  sigaltstack(nullptr, &present);
  if (!(present.ss_flags & SS_DISABLE)) return;  // somebody has given this thread one
  void *memory = mmap(nullptr, kSignalStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return;
  stack_t stack{};
  stack.ss_sp = signal_stack = memory;
  stack.ss_size = kSignalStack;
  sigaltstack(&stack, nullptr);
}

TrapGuard::~TrapGuard() {
  if (signal_stack == nullptr) return;
  stack_t none{};
  none.ss_flags = SS_DISABLE;
  sigaltstack(&none, nullptr);
  munmap(signal_stack, kSignalStack);
  signal_stack = nullptr;
}

}  // namespace softmetal
