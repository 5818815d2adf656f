#include "objects.h"

namespace rlx {
namespace {

MTLSize size_of(GpuSize size) { return MTLSizeMake(size.x, size.y, size.z); }

GpuFailure kind_of(NSError* error) {
  if (![error.domain isEqualToString:MTLCommandBufferErrorDomain]) return GpuFailure::fault;
  switch (static_cast<MTLCommandBufferError>(error.code)) {
    case MTLCommandBufferErrorOutOfMemory: return GpuFailure::out_of_memory;
    case MTLCommandBufferErrorAccessRevoked:
    case MTLCommandBufferErrorDeviceRemoved: return GpuFailure::device_lost;
    default: return GpuFailure::fault;
  }
}

GpuCompletion completion_of(id<MTLCommandBuffer> ended) {
  GpuCompletion completion;
  completion.start = ended.GPUStartTime;
  completion.end = ended.GPUEndTime;
  if (ended.status == MTLCommandBufferStatusError) completion.error = {kind_of(ended.error), text_of(ended.error)};
  return completion;
}

class MetalCommands final : public GpuCommands {
 public:
  MetalCommands(id<MTLCommandBuffer> buffer, id<MTLComputeCommandEncoder> encoder, std::shared_ptr<Residency> residency)
      : buffer_(buffer), encoder_(encoder), residency_(std::move(residency)) {}
  ~MetalCommands() override { [encoder_ endEncoding]; }

  void set_pipeline(const GpuPipeline& pipeline) override {
    [encoder_ setComputePipelineState:static_cast<const MetalPipeline&>(pipeline).object()];
  }
  void set_buffer(size_t index, const GpuBuffer& buffer, size_t offset) override {
    [encoder_ setBuffer:static_cast<const MetalBuffer&>(buffer).object() offset:offset atIndex:index];
  }
  void set_bytes(size_t index, const void* data, size_t bytes) override { [encoder_ setBytes:data length:bytes atIndex:index]; }
  void set_threadgroup_bytes(size_t index, size_t bytes) override { [encoder_ setThreadgroupMemoryLength:bytes atIndex:index]; }
  void dispatch_threadgroups(GpuSize threadgroups, GpuSize threads_per_threadgroup) override {
    [encoder_ dispatchThreadgroups:size_of(threadgroups) threadsPerThreadgroup:size_of(threads_per_threadgroup)];
  }
  void dispatch_threads(GpuSize threads, GpuSize threads_per_threadgroup) override {
    [encoder_ dispatchThreads:size_of(threads) threadsPerThreadgroup:size_of(threads_per_threadgroup)];
  }
  void barrier() override { [encoder_ memoryBarrierWithScope:MTLBarrierScopeBuffers]; }
  void push_label(const std::string& label) override {
    if (NSString* name = string_of(label)) [encoder_ pushDebugGroup:name];
    else [encoder_ pushDebugGroup:@"?"];
  }
  void pop_label() override { [encoder_ popDebugGroup]; }

  void commit(std::function<void(const GpuCompletion&)> done) override {
    @autoreleasepool {
      [encoder_ endEncoding];
      encoder_ = nil;
      residency_->commit();
      [buffer_ addCompletedHandler:^(id<MTLCommandBuffer> ended) {
        done(completion_of(ended));
      }];
      [buffer_ commit];
    }
  }

 private:
  const id<MTLCommandBuffer> buffer_;
  id<MTLComputeCommandEncoder> encoder_;
  const std::shared_ptr<Residency> residency_;
};

}  // namespace

std::unique_ptr<GpuCommands> new_commands(id<MTLCommandQueue> queue, std::shared_ptr<Residency> residency, const std::string& label) {
  @autoreleasepool {
    id<MTLCommandBuffer> buffer = [queue commandBuffer];
    id<MTLComputeCommandEncoder> encoder = [buffer computeCommandEncoderWithDispatchType:MTLDispatchTypeConcurrent];
    if (encoder == nil) return nullptr;
    buffer.label = string_of(label);
    return std::make_unique<MetalCommands>(buffer, encoder, std::move(residency));
  }
}

}  // namespace rlx
