// The threadgroup memory of one threadgroup: arrays bound by the host and variables of the kernel, each found by its own key.
#pragma once
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "shadow.h"

namespace softmetal {

class ThreadgroupMemory {
 public:
  static constexpr size_t kLimit = 32 * 1024;  // of current Apple GPUs

  // With `gaps`, arrays do not touch, so that an index beyond one of them cannot land in the next.
  explicit ThreadgroupMemory(bool gaps);
  ThreadgroupMemory(const ThreadgroupMemory &) = delete;
  ThreadgroupMemory &operator=(const ThreadgroupMemory &) = delete;
  ~ThreadgroupMemory();
  // False: the system had no memory for it.
  bool valid() const { return arena_ != nullptr; }

  // Forgets all arrays; the bytes that were in use are NaNs from now on.
  void reset();
  // nullptr: more than the arena holds.
  void *allocate(size_t bytes, size_t alignment);
  void *variable(int id, const char *function, size_t bytes, size_t alignment);
  // What the kernel has asked for so far, without gaps.
  size_t used() const { return used_; }
  bool owns(const void *address) const { return address >= arena_ && address < arena_ + kArena; }
  bool inOneArray(const void *address, size_t bytes) const;
  // The history of the byte at an address that this memory owns.
  ByteHistory *history(const void *address);

 private:
  static constexpr size_t kArena = 4 * kLimit;
  uint8_t *arena_ = nullptr;
  bool gaps_;
  size_t top_ = 0, used_ = 0;
  std::map<std::pair<int, const char *>, void *> variables_;
  std::vector<std::pair<const uint8_t *, size_t>> arrays_;
  Shadow shadow_;
};

}  // namespace softmetal
