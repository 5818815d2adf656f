// MTLBuffer.
#pragma once
#include "device.h"

namespace softmetal::objc {

class Buffer : public Object {
 public:
  static ClassPair objc;
  // Owns `memory`. `deallocator`: a block that is told when wrapped memory is free, or nullptr.
  Buffer(Device &device, sm_buffer *memory, unsigned long options, bool wrapped, void *deallocator);
  ~Buffer();
  const sm_buffer *memory() const { return memory_; }
  uint8_t *contents() const { return static_cast<uint8_t *>(sm_buffer_contents(memory_)); }
  unsigned long length() const { return sm_buffer_length(memory_); }
  static void define(Methods &methods, Methods &class_methods);

 private:
  // The host sees no private memory.
  void *address() const { return storageMode() == 2 ? nullptr : contents(); }
  std::string label() const { return label_; }
  void setLabel(std::string label) { label_ = std::move(label); }
  Ref<Device> device() const { return device_; }
  unsigned long storageMode() const { return options_ >> 4 & 15; }
  unsigned long cpuCacheMode() const { return options_ & 15; }
  unsigned long hazardTrackingMode() const { return options_ >> 8 & 3; }
  unsigned long resourceOptions() const { return options_; }
  Ref<Device> device_;
  sm_buffer *memory_;
  unsigned long options_;
  bool wrapped_;
  void *deallocator_;
  std::string label_;
};

}  // namespace softmetal::objc
