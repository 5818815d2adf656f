// The Metal objects behind gpu_device.h, shared by the .mm files.
#pragma once
#import <Foundation/Foundation.h>
#import <Metal/Metal.h>

#include <map>
#include <mutex>

#include "gpu_device.h"
#include "keyed_lock.h"

#if !__has_feature(objc_arc)
#error "compile with -fobjc-arc"
#endif

// Declared by SDKs of macOS 15 and later; where it runs is asked at run time.
#if !defined(__APPLE__) || __MAC_OS_X_VERSION_MAX_ALLOWED >= 150000
#define RLX_MACOS_15_SDK 1
#else
#define RLX_MACOS_15_SDK 0
#endif

namespace rlx {

// nil where the bytes are no UTF-8.
NSString* string_of(const std::string& text);
std::string text_of(NSError* error);

// Keeps all memory of a device resident while its queue works, where the system can be told so; elsewhere encoders say what they use.
class Residency {
 public:
  Residency(id<MTLDevice> device, id<MTLCommandQueue> queue);
  void add(id<MTLBuffer> buffer);
  void remove(id<MTLBuffer> buffer);
  // What was added counts from the next command buffer on.
  void commit();

 private:
  std::mutex mutex_;
  [[maybe_unused]] bool changed_ = false;
  [[maybe_unused]] id set_ = nil;  // id<MTLResidencySet>
};

class MetalBuffer final : public GpuBuffer {
 public:
  MetalBuffer(id<MTLBuffer> buffer, std::shared_ptr<Residency> residency);
  ~MetalBuffer() override;
  uint8_t* contents() const override { return contents_; }
  size_t length() const override { return length_; }
  id<MTLBuffer> object() const { return buffer_; }

 private:
  const id<MTLBuffer> buffer_;
  const std::shared_ptr<Residency> residency_;
  uint8_t* const contents_;
  const size_t length_;
};

class MetalPipeline final : public GpuPipeline {
 public:
  explicit MetalPipeline(id<MTLComputePipelineState> state) : state_(state) {}
  size_t max_threads_per_threadgroup() const override { return state_.maxTotalThreadsPerThreadgroup; }
  size_t static_threadgroup_bytes() const override { return state_.staticThreadgroupMemoryLength; }
  id<MTLComputePipelineState> object() const { return state_; }

 private:
  const id<MTLComputePipelineState> state_;
};

class MetalLibrary final : public GpuLibrary {
 public:
  MetalLibrary(id<MTLDevice> device, id<MTLLibrary> library) : device_(device), library_(library) {}
  std::shared_ptr<GpuPipeline> pipeline(const std::string& function, const std::vector<GpuConstant>& constants, std::string& error) override;

 private:
  const id<MTLDevice> device_;
  const id<MTLLibrary> library_;
  std::shared_ptr<MetalPipeline> find(const std::string& key);

  KeyedLock making_;  // by key, as the pipelines
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<MetalPipeline>> pipelines_;
};

// NULL: see `error`.
id<MTLLibrary> compile_library(id<MTLDevice> device, const std::string& label, const std::string& source, std::string& error);
std::unique_ptr<GpuCommands> new_commands(id<MTLCommandQueue> queue, std::shared_ptr<Residency> residency, const std::string& label);

}  // namespace rlx
