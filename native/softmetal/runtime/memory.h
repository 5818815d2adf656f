// Device buffers between inaccessible pages, and the list of all of them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "shadow.h"

namespace softmetal {

class Buffer {
 public:
  // nullptr: no memory.
  static std::unique_ptr<Buffer> create(size_t bytes);
  static std::unique_ptr<Buffer> wrap(void *data, size_t bytes);
  Buffer(const Buffer &) = delete;
  Buffer &operator=(const Buffer &) = delete;
  ~Buffer();

  uint8_t *data() const { return data_; }
  size_t bytes() const { return bytes_; }
  // With the guard pages.
  const uint8_t *mapping() const { return mapping_; }
  size_t mappingBytes() const { return mapping_bytes_; }
  bool contains(const void *address) const { return static_cast<const uint8_t *>(address) - data_ < static_cast<ptrdiff_t>(bytes_) && address >= data_; }
  ByteHistory *history() const { return shadow_.cells(bytes_); }

 private:
  Buffer(uint8_t *data, size_t bytes, uint8_t *mapping, size_t mapping_bytes, bool owned)
      : data_(data), bytes_(bytes), mapping_(mapping), mapping_bytes_(mapping_bytes), owned_(owned) {}
  uint8_t *data_;
  size_t bytes_;
  uint8_t *mapping_;
  size_t mapping_bytes_;
  bool owned_;
  mutable Shadow shadow_;
};

// What a report says about a buffer; the buffer itself may be gone by then.
struct BufferExtent {
  const Buffer *buffer;
  const uint8_t *data;
  size_t bytes;
};

// Finds the buffer that an address belongs to or has just missed.
class BufferList {
 public:
  void add(const Buffer &buffer);
  void remove(const Buffer &buffer);
  std::optional<BufferExtent> near(const void *address) const;

 private:
  mutable std::mutex mutex_;
  std::multimap<uintptr_t, const Buffer *> by_mapping_;  // several may wrap the same memory
};

size_t pageBytes();

}  // namespace softmetal
