#include "objects.h"

namespace rlx {
namespace {

class MetalDevice final : public GpuDevice {
 public:
  MetalDevice(id<MTLDevice> device, id<MTLCommandQueue> queue)
      : device_(device), queue_(queue), residency_(std::make_shared<Residency>(device, queue)), name_(device.name.UTF8String) {}

  const std::string& name() const override { return name_; }

  GpuLimits limits() const override {
    return {device_.maxBufferLength, device_.maxThreadgroupMemoryLength, static_cast<size_t>(device_.recommendedMaxWorkingSetSize)};
  }

  std::shared_ptr<GpuBuffer> allocate(size_t bytes, const std::string& label) override {
    @autoreleasepool {
      // Metal clears the memory; a buffer of no bytes does not exist.
      return adopt([device_ newBufferWithLength:bytes > 0 ? bytes : 16 options:MTLResourceStorageModeShared], label);
    }
  }

  std::shared_ptr<GpuBuffer> wrap(void* data, size_t bytes, std::shared_ptr<const void> owner, const std::string& label) override {
    @autoreleasepool {
      __block std::shared_ptr<const void> held = std::move(owner);
      return adopt([device_ newBufferWithBytesNoCopy:data
                                              length:bytes
                                             options:MTLResourceStorageModeShared
                                         deallocator:^(void*, NSUInteger) {
                                           held.reset();
                                         }],
                   label);
    }
  }

  std::shared_ptr<GpuLibrary> library(const std::string& label, const std::string& source, std::string& error) override {
    @autoreleasepool {
      const KeyedLock::Hold making(compiling_, source);
      if (auto known = find(source)) return known;
      id<MTLLibrary> compiled = compile_library(device_, label, source, error);
      if (compiled == nil) return nullptr;
      auto library = std::make_shared<MetalLibrary>(device_, compiled);
      const std::lock_guard<std::mutex> lock(mutex_);
      libraries_[source] = library;
      keep(library);
      return library;
    }
  }

  std::unique_ptr<GpuCommands> commands(const std::string& label) override { return new_commands(queue_, residency_, label); }

 private:
  std::shared_ptr<GpuBuffer> adopt(id<MTLBuffer> buffer, const std::string& label) {
    if (buffer == nil) return nullptr;
    buffer.label = string_of(label);
    return std::make_shared<MetalBuffer>(buffer, residency_);
  }

  std::shared_ptr<MetalLibrary> find(const std::string& source) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto known = libraries_.find(source);
    return known == libraries_.end() ? nullptr : known->second.lock();
  }

  // The latest ones stay for the next program, though nobody uses them at the moment.
  void keep(std::shared_ptr<MetalLibrary> library) {
    constexpr size_t most = 64;
    latest_[turn_++ % most] = std::move(library);
    for (auto it = libraries_.begin(); it != libraries_.end();) it = it->second.expired() ? libraries_.erase(it) : std::next(it);
  }

  const id<MTLDevice> device_;
  const id<MTLCommandQueue> queue_;
  const std::shared_ptr<Residency> residency_;
  const std::string name_;
  KeyedLock compiling_;  // by source
  std::mutex mutex_;
  std::map<std::string, std::weak_ptr<MetalLibrary>> libraries_;  // by source
  std::map<size_t, std::shared_ptr<MetalLibrary>> latest_;
  size_t turn_ = 0;
};

}  // namespace

std::shared_ptr<GpuDevice> GpuDevice::open(std::string& error) {
  @autoreleasepool {
    id<MTLDevice> device = MTLCreateSystemDefaultDevice();
    if (device == nil) {
      error = "this system has no Metal device";
      return nullptr;
    }
    if (![device supportsFamily:MTLGPUFamilyApple7]) {
      error = std::string(device.name.UTF8String) + ": expected an Apple GPU of the M1 generation or later";
      return nullptr;
    }
    id<MTLCommandQueue> queue = [device newCommandQueue];
    if (queue == nil) {
      error = std::string(device.name.UTF8String) + " gives no command queue";
      return nullptr;
    }
    return std::make_shared<MetalDevice>(device, queue);
  }
}

void GpuDevice::pool(const std::function<void()>& body) {
  @autoreleasepool {
    body();
  }
}

NSString* string_of(const std::string& text) { return [NSString stringWithUTF8String:text.c_str()]; }

std::string text_of(NSError* error) {
  const char* text = error.localizedDescription.UTF8String;
  return text != nullptr ? text : "no reason given";
}

}  // namespace rlx
