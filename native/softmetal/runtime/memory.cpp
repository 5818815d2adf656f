#include "memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

namespace softmetal {

size_t pageBytes() {
  static const size_t bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

std::unique_ptr<Buffer> Buffer::create(size_t bytes) {
  constexpr size_t alignment = 32;  // of ulong4, the widest type
  const size_t page = pageBytes();
  if (bytes > SIZE_MAX / 2) return nullptr;
  const size_t inside = bytes == 0 ? page : (bytes + page - 1) / page * page;
  void *mapping = mmap(nullptr, inside + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) return nullptr;
  auto *base = static_cast<uint8_t *>(mapping);
  if (mprotect(base + page, inside, PROT_READ | PROT_WRITE) != 0) {
    munmap(mapping, inside + 2 * page);
    return nullptr;
  }
  uint8_t *data = base + page + (inside - bytes) / alignment * alignment;
  return std::unique_ptr<Buffer>(new Buffer(data, bytes, base, inside + 2 * page, true));
}

std::unique_ptr<Buffer> Buffer::wrap(void *data, size_t bytes) {
  auto *start = static_cast<uint8_t *>(data);
  return std::unique_ptr<Buffer>(new Buffer(start, bytes, start, bytes, false));
}

Buffer::~Buffer() {
  if (owned_) munmap(mapping_, mapping_bytes_);
}

void BufferList::add(const Buffer &buffer) {
  std::lock_guard lock(mutex_);
  by_mapping_.emplace(reinterpret_cast<uintptr_t>(buffer.mapping()), &buffer);
}

void BufferList::remove(const Buffer &buffer) {
  std::lock_guard lock(mutex_);
  const auto [first, last] = by_mapping_.equal_range(reinterpret_cast<uintptr_t>(buffer.mapping()));
  const auto found = std::find_if(first, last, [&](const auto &each) { return each.second == &buffer; });
  if (found != last) by_mapping_.erase(found);
}

std::optional<BufferExtent> BufferList::near(const void *address) const {
  const auto at = reinterpret_cast<uintptr_t>(address);
  std::lock_guard lock(mutex_);
  auto next = by_mapping_.upper_bound(at);
  if (next == by_mapping_.begin()) return {};
  const Buffer *buffer = std::prev(next)->second;
  if (at - reinterpret_cast<uintptr_t>(buffer->mapping()) >= buffer->mappingBytes()) return {};
  return BufferExtent{buffer, buffer->data(), buffer->bytes()};
}

}  // namespace softmetal
