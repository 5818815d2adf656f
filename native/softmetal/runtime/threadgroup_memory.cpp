#include "threadgroup_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

namespace softmetal {

namespace {
constexpr int kPoison = 0xff;  // a NaN in every float format, -1 in integers
constexpr size_t kGap = 256;
}  // namespace

ThreadgroupMemory::ThreadgroupMemory(bool gaps) : gaps_(gaps) {
  void *memory = mmap(nullptr, kArena, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return;
  arena_ = static_cast<uint8_t *>(memory);
  top_ = kArena;  // all of it is poisoned once
}

ThreadgroupMemory::~ThreadgroupMemory() {
  if (valid()) munmap(arena_, kArena);
}

void ThreadgroupMemory::reset() {
  memset(arena_, kPoison, top_);
  top_ = used_ = 0;
  variables_.clear();
  arrays_.clear();
}

void *ThreadgroupMemory::allocate(size_t bytes, size_t alignment) {
  alignment = std::max<size_t>(alignment, 16);
  const size_t start = (top_ + alignment - 1) / alignment * alignment;
  if (start > kArena || bytes > kArena - start) return nullptr;
  top_ = std::min(kArena, start + bytes + (gaps_ ? kGap : 0));
  used_ += (bytes + 15) / 16 * 16;
  arrays_.emplace_back(arena_ + start, bytes);
  return arena_ + start;
}

void *ThreadgroupMemory::variable(int id, const char *function, size_t bytes, size_t alignment) {
  auto [found, added] = variables_.try_emplace({id, function}, nullptr);
  if (added) found->second = allocate(bytes, alignment);
  return found->second;
}

bool ThreadgroupMemory::inOneArray(const void *address, size_t bytes) const {
  const auto *at = static_cast<const uint8_t *>(address);
  return std::any_of(arrays_.begin(), arrays_.end(), [&](const auto &array) { return at >= array.first && at + bytes <= array.first + array.second; });
}

ByteHistory *ThreadgroupMemory::history(const void *address) {
  ByteHistory *cells = shadow_.cells(kArena);
  return cells == nullptr ? nullptr : cells + (static_cast<const uint8_t *>(address) - arena_);
}

}  // namespace softmetal
