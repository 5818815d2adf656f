#include "objects.h"

namespace rlx {

MetalBuffer::MetalBuffer(id<MTLBuffer> buffer, std::shared_ptr<Residency> residency)
    : buffer_(buffer), residency_(std::move(residency)), contents_(static_cast<uint8_t*>([buffer contents])), length_(buffer.length) {
  residency_->add(buffer_);
}

// Also on threads of Node, which release what is made in passing only at their end.
MetalBuffer::~MetalBuffer() {
  @autoreleasepool {
    residency_->remove(buffer_);
  }
}

#if RLX_MACOS_15_SDK

Residency::Residency(id<MTLDevice> device, id<MTLCommandQueue> queue) {
  if (@available(macOS 15.0, *)) {
    @autoreleasepool {
      MTLResidencySetDescriptor* descriptor = [MTLResidencySetDescriptor new];
      descriptor.label = @"rlxjs";
      id<MTLResidencySet> set = [device newResidencySetWithDescriptor:descriptor error:nil];
      if (set == nil) return;
      [queue addResidencySet:set];
      set_ = set;
    }
  }
}

void Residency::add(id<MTLBuffer> buffer) {
  if (@available(macOS 15.0, *)) {
    const std::lock_guard<std::mutex> lock(mutex_);
    [static_cast<id<MTLResidencySet>>(set_) addAllocation:buffer];
    changed_ = true;
  }
}

void Residency::remove(id<MTLBuffer> buffer) {
  if (@available(macOS 15.0, *)) {
    const std::lock_guard<std::mutex> lock(mutex_);
    id<MTLResidencySet> set = set_;
    [set removeAllocation:buffer];
    // At once: until then the set holds the memory.
    [set commit];
    changed_ = false;
  }
}

void Residency::commit() {
  if (@available(macOS 15.0, *)) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (changed_) [static_cast<id<MTLResidencySet>>(set_) commit];
    changed_ = false;
  }
}

#else

Residency::Residency(id<MTLDevice>, id<MTLCommandQueue>) {}
void Residency::add(id<MTLBuffer>) {}
void Residency::remove(id<MTLBuffer>) {}
void Residency::commit() {}

#endif

}  // namespace rlx
