#include "memory.h"

#include <unistd.h>

#include <algorithm>

namespace rlx::metal {
namespace {

// Contents of a buffer. The buffer may outlive the block: runs and programs hold it too.
class Block final : public Memory {
 public:
  static std::shared_ptr<Memory> make(const GpuDevice* device, std::shared_ptr<GpuBuffer> buffer, size_t bytes) {
    std::shared_ptr<Memory> block(new Block(device, std::move(buffer), bytes));
    enlist(block);
    return block;
  }
  ~Block() override { delist(); }

  const GpuDevice* const device;
  const std::shared_ptr<GpuBuffer> buffer;

 private:
  Block(const GpuDevice* device, std::shared_ptr<GpuBuffer> given, size_t bytes)
      : Memory(given->contents(), bytes, 0), device(device), buffer(std::move(given)) {}
};

size_t page_bytes() {
  static const auto bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}
size_t page_floor(size_t n) { return n / page_bytes() * page_bytes(); }
size_t page_ceil(size_t n) { return page_floor(n + page_bytes() - 1); }

bool aligned(const uint8_t* p) { return reinterpret_cast<uintptr_t>(p) % ALIGNMENT == 0; }

}  // namespace

DeviceMemory::DeviceMemory(std::shared_ptr<GpuDevice> device, size_t max_mapped)
    : device_(std::move(device)), max_mapped_(page_floor(max_mapped)) {}

std::shared_ptr<Memory> DeviceMemory::allocate(size_t bytes) {
  auto buffer = device_->allocate(bytes, "memory");
  return buffer ? Block::make(device_.get(), std::move(buffer), bytes) : nullptr;
}

Placed DeviceMemory::find(Span bytes) const {
  if (!bytes.data || !aligned(bytes.data)) return {};
  const auto block = std::dynamic_pointer_cast<Block>(Memory::find(bytes.data));
  if (!block || block->device != device_.get()) return {};
  return {block->buffer, static_cast<size_t>(bytes.data - block->data())};
}

Placed DeviceMemory::find_weight(Span bytes) {
  if (!holds_weight(bytes)) return {};
  const auto block = Memory::find(bytes.data);
  if (std::dynamic_pointer_cast<Block>(block)) return find(bytes);
  return map(block, static_cast<size_t>(bytes.data - block->data()), bytes.bytes);
}

bool DeviceMemory::holds_weight(Span bytes) const {
  if (!bytes.data || !aligned(bytes.data)) return false;
  const auto block = Memory::find(bytes.data);
  if (!block) return false;
  if (const auto own = std::dynamic_pointer_cast<Block>(block)) return own->device == device_.get();
  const auto offset = static_cast<size_t>(bytes.data - block->data());
  return page_ceil(offset + bytes.bytes) - page_floor(offset) <= max_mapped_;
}

Placed DeviceMemory::map(const std::shared_ptr<Memory>& file, size_t offset, size_t bytes) {
  // One buffer for all of a file; else windows of half their length apart, so that what is smaller than that lies within one; else a buffer
  // of the range's own.
  const size_t whole = page_ceil(file->size()), half = page_floor(max_mapped_ / 2);
  size_t begin = 0, length = whole;
  if (whole > max_mapped_ && bytes <= half) {
    begin = offset / half * half;
    length = std::min(max_mapped_, whole - begin);
  } else if (whole > max_mapped_) {
    begin = page_floor(offset);
    length = page_ceil(offset + bytes) - begin;
  }
  const auto key = std::make_pair(static_cast<const uint8_t*>(file->data() + begin), length);
  auto buffer = mapped_[key].lock();
  if (!buffer) {
    for (auto it = mapped_.begin(); it != mapped_.end();) it = it->second.expired() ? mapped_.erase(it) : std::next(it);
    uint8_t* pages = file->read_only();
    if (pages) buffer = device_->wrap(pages + begin, length, file, "weights");
    if (!buffer) return {};
    mapped_[key] = buffer;
  }
  return {buffer, offset - begin};
}

}  // namespace rlx::metal
