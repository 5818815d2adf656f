// Which launches of a command buffer must wait for earlier ones: those whose declared byte ranges conflict.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "program.h"

namespace rlx::metal {

// One launch's use of memory, of at least one byte. `buffer` numbers MTLBuffers, whose ranges never meet those of another one.
struct Use {
  uint32_t buffer;
  Access access;
  size_t begin, end;
};

class Hazards {
 public:
  explicit Hazards(size_t buffers) : since_(buffers) {}
  // Adds a launch; true: a barrier has to come before it.
  bool add(const Use* uses, size_t count);

 private:
  bool conflicts(const Use& use) const;
  void forget();

  std::vector<std::vector<Use>> since_;  // the last barrier, by buffer
  std::vector<uint32_t> touched_;
};

}  // namespace rlx::metal
