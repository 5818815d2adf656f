// Stacks that code can leave in the middle and come back to.
#pragma once
#include <cstddef>
#include <memory>
#include <vector>

namespace softmetal {

// Where a stack was left: its stack pointer, with the callee-saved registers above it.
using StackPointer = void *;

class Fiber {
 public:
  Fiber();
  Fiber(const Fiber &) = delete;
  Fiber &operator=(const Fiber &) = delete;
  ~Fiber();
  bool valid() const { return memory_ != nullptr; }
  // The next switch to this fiber calls `entry`, which must not return. What ran on it before is forgotten.
  void restart(void (*entry)());
  // Whether the address lies in the stack or in the page below it.
  bool owns(const void *address) const;
  // Below this address the stack has ended.
  const void *stackEnd() const;

  StackPointer stack = nullptr;

 private:
  unsigned char *memory_ = nullptr;
};

// Leaves the running stack and goes on where `to` was left.
extern "C" void softmetal_switch(StackPointer *from, StackPointer to);

// Fibers of one worker that are not in use.
class FiberPool {
 public:
  // nullptr: no memory for another stack.
  Fiber *take();
  void give(Fiber *fiber) { idle_.push_back(fiber); }

 private:
  std::vector<std::unique_ptr<Fiber>> all_;
  std::vector<Fiber *> idle_;
};

}  // namespace softmetal
