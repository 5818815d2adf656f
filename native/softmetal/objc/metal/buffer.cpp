#include "buffer.h"

#include "../core/blocks.h"

namespace softmetal::objc {

ClassPair Buffer::objc{"MTLBuffer", rootClass(), Storage::Counted, &Buffer::define, destroy<Buffer>};

Buffer::Buffer(Device &device, sm_buffer *memory, unsigned long options, bool wrapped, void *deallocator)
    : Object(objc), device_(&device), memory_(memory), options_(options), wrapped_(wrapped), deallocator_(copyBlock(deallocator)) {
  ++counters().buffers;
  if (!wrapped_) counters().bytes += length();
}

Buffer::~Buffer() {
  const unsigned long bytes = length();
  void *start = contents();
  sm_buffer_destroy(memory_);
  --counters().buffers;
  if (!wrapped_) {
    counters().bytes -= bytes;
    device_->giveBack(bytes);
  }
  if (deallocator_ != nullptr) callBlock(deallocator_, start, bytes);
  releaseBlock(deallocator_);
}

void Buffer::define(Methods &methods, Methods &) {
  methods.add<&Buffer::address>("contents");
  methods.add<&Buffer::length>("length");
  methods.add<&Buffer::length>("allocatedSize");
  methods.add<&Buffer::label>("label");
  methods.add<&Buffer::setLabel>("setLabel:");
  methods.add<&Buffer::device>("device");
  methods.add<&Buffer::storageMode>("storageMode");
  methods.add<&Buffer::cpuCacheMode>("cpuCacheMode");
  methods.add<&Buffer::hazardTrackingMode>("hazardTrackingMode");
  methods.add<&Buffer::resourceOptions>("resourceOptions");
}

}  // namespace softmetal::objc
