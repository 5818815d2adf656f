// Memory of a device that JavaScript may see, and mapped files that the device reads in place.
#pragma once
#include <map>
#include <vector>

#include "../program/memory.h"
#include "failure.h"

namespace rlx::metal {

// Bytes within a buffer of the device.
struct Placed {
  std::shared_ptr<GpuBuffer> buffer;
  size_t offset = 0;
};

// Whatever a kernel is given begins at a multiple of this.
constexpr size_t ALIGNMENT = 16;

// Used on one thread.
class DeviceMemory {
 public:
  // `max_mapped`: bytes of a mapped file that one buffer may span.
  DeviceMemory(std::shared_ptr<GpuDevice> device, size_t max_mapped);
  // Zeroed; NULL when there is none left.
  std::shared_ptr<Memory> allocate(size_t bytes);
  // Where bytes lie that `allocate` gave; no buffer: elsewhere, or at an address that kernels cannot take.
  Placed find(Span bytes) const;
  // The same, also for bytes of mapped files: those need no copy either.
  Placed find_weight(Span bytes);
  // Whether `find_weight` finds them, unless memory is short.
  bool holds_weight(Span bytes) const;

 private:
  Placed map(const std::shared_ptr<Memory>& file, size_t offset, size_t bytes);

  const std::shared_ptr<GpuDevice> device_;
  const size_t max_mapped_;
  // By first byte and length. While a buffer is there, so is its file.
  std::map<std::pair<const uint8_t*, size_t>, std::weak_ptr<GpuBuffer>> mapped_;
};

}  // namespace rlx::metal
