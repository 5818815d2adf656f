#include "fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstring>

#include "frames.h"
#include "memory.h"

// Pushes the callee-saved registers, exchanges the stack pointers, pops, returns on the other stack.
#if defined(__x86_64__)
asm(R"(
.text
.globl softmetal_switch
.type softmetal_switch,@function
softmetal_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size softmetal_switch,.-softmetal_switch
)");
#elif defined(__aarch64__)
asm(R"(
.text
.globl softmetal_switch
.type softmetal_switch,%function
softmetal_switch:
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
.size softmetal_switch,.-softmetal_switch
)");
#else
#error "software Metal: x86-64 and arm64 only"
#endif

namespace softmetal {
namespace {

constexpr size_t kStackBytes = 256 * 1024;
#if defined(__x86_64__)
// Six registers, the address that `ret` takes, and a null return address that leaves the stack as a call would.
constexpr size_t kFrameWords = 8, kEntryWord = 6;
#else
constexpr size_t kFrameWords = 20, kEntryWord = 11;  // x30
#endif

}  // namespace

Fiber::Fiber() {
  void *memory = mmap(nullptr, kStackBytes + pageBytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return;
  memory_ = static_cast<unsigned char *>(memory);
  mprotect(memory_, pageBytes(), PROT_NONE);
}

Fiber::~Fiber() {
  if (memory_ != nullptr) munmap(memory_, kStackBytes + pageBytes());
}

void Fiber::restart(void (*entry)()) {
  forgetFrames(stackEnd(), kStackBytes);
  auto *frame = reinterpret_cast<uintptr_t *>(memory_ + pageBytes() + kStackBytes) - kFrameWords;
  memset(frame, 0, kFrameWords * sizeof *frame);
  frame[kEntryWord] = reinterpret_cast<uintptr_t>(entry);
  stack = frame;
}

bool Fiber::owns(const void *address) const { return address >= memory_ && address < memory_ + pageBytes() + kStackBytes; }

const void *Fiber::stackEnd() const { return memory_ + pageBytes(); }

Fiber *FiberPool::take() {
  if (idle_.empty()) {
    auto fiber = std::make_unique<Fiber>();
    if (!fiber->valid()) return nullptr;
    all_.push_back(std::move(fiber));
    return all_.back().get();
  }
  Fiber *fiber = idle_.back();
  idle_.pop_back();
  return fiber;
}

}  // namespace softmetal
