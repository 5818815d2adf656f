// What a host can do wrong, where Metal's validation would end the process.
#include "cases.h"

#include <unistd.h>

namespace {

struct Gpu {
  id<MTLDevice> device = MTLCreateSystemDefaultDevice();
  id<MTLCommandQueue> queue = [device newCommandQueue];
  id<MTLComputePipelineState> pipeline = make();
  id<MTLBuffer> y = [device newBufferWithLength:64 options:MTLResourceStorageModeShared];
  id<MTLCommandBuffer> commands = [queue commandBuffer];

  id<MTLComputePipelineState> make() {
    NSString *source = @"kernel void k(device uint *y [[buffer(0)]], uint i [[thread_position_in_grid]]) { y[i] = i; }";
    return [device newComputePipelineStateWithFunction:[[device newLibraryWithSource:source options:nil error:nil] newFunctionWithName:@"k"] error:nil];
  }
  id<MTLComputeCommandEncoder> encoder() {
    id<MTLComputeCommandEncoder> made = [commands computeCommandEncoder];
    [made setComputePipelineState:pipeline];
    [made setBuffer:y offset:0 atIndex:0];
    return made;
  }
};

void dispatch(id<MTLComputeCommandEncoder> encoder, NSUInteger threads = 4) {
  [encoder dispatchThreads:MTLSizeMake(4, 1, 1) threadsPerThreadgroup:MTLSizeMake(threads, 1, 1)];
}

void finish(id<MTLCommandBuffer> commands) {
  [commands commit];
  [commands waitUntilCompleted];
  printf("status %lu, code %ld\n", static_cast<unsigned long>(commands.status), commands.error.code);
}

// Something wrong with a command buffer that is all right otherwise.
void with(void (^wrong)(id<MTLComputeCommandEncoder> encoder)) {
  Gpu gpu;
  id<MTLComputeCommandEncoder> encoder = gpu.encoder();
  wrong(encoder);
  dispatch(encoder);
  [encoder endEncoding];
  finish(gpu.commands);
}

}  // namespace

CASE(nothing) {
  with(^(id<MTLComputeCommandEncoder>){});
}
CASE(buffer_index) {
  with(^(id<MTLComputeCommandEncoder> encoder) { [encoder setBuffer:nil offset:0 atIndex:31]; });
}
CASE(buffer_offset) {
  Gpu gpu;
  id<MTLComputeCommandEncoder> encoder = gpu.encoder();
  [encoder setBuffer:gpu.y offset:64 atIndex:1];
  [encoder setBufferOffset:65 atIndex:0];
  [encoder setBufferOffset:0 atIndex:2];
  [encoder endEncoding];
  finish(gpu.commands);
}
CASE(misaligned_offset) {
  with(^(id<MTLComputeCommandEncoder> encoder) { [encoder setBufferOffset:2 atIndex:0]; });
}
CASE(missing_buffer) {
  with(^(id<MTLComputeCommandEncoder> encoder) { [encoder setBuffer:nil offset:0 atIndex:0]; });
}
CASE(inline_bytes) {
  with(^(id<MTLComputeCommandEncoder> encoder) {
    static const char bytes[4097] = "";
    [encoder setBytes:bytes length:4097 atIndex:1];
    [encoder setBytes:bytes length:0 atIndex:1];
    [encoder setBytes:bytes length:4096 atIndex:31];
  });
}
CASE(threadgroup_memory) {
  with(^(id<MTLComputeCommandEncoder> encoder) {
    [encoder setThreadgroupMemoryLength:40 atIndex:0];
    [encoder setThreadgroupMemoryLength:32784 atIndex:0];
    [encoder setThreadgroupMemoryLength:32 atIndex:40];
  });
}
CASE(threads_per_threadgroup) {
  with(^(id<MTLComputeCommandEncoder> encoder) {
    dispatch(encoder, 1025);
    [encoder dispatchThreadgroups:MTLSizeMake(1, 1, 1) threadsPerThreadgroup:MTLSizeMake(4294967295, 4294967295, 2)];
    [encoder dispatchThreadgroups:MTLSizeMake(1, 0, 1) threadsPerThreadgroup:MTLSizeMake(32, 1, 1)];
  });
}
CASE(no_pipeline) {
  Gpu gpu;
  id<MTLComputeCommandEncoder> encoder = [gpu.commands computeCommandEncoder];
  dispatch(encoder);
  [encoder endEncoding];
  finish(gpu.commands);
}
CASE(debug_groups) {
  with(^(id<MTLComputeCommandEncoder> encoder) {
    [encoder popDebugGroup];
    [encoder pushDebugGroup:@"left open"];
  });
}
CASE(encoding_after_the_end) {
  Gpu gpu;
  id<MTLComputeCommandEncoder> encoder = gpu.encoder();
  [encoder endEncoding];
  dispatch(encoder);
  [encoder memoryBarrierWithScope:MTLBarrierScopeBuffers];
  [encoder endEncoding];
  finish(gpu.commands);
}
CASE(two_encoders) {
  Gpu gpu;
  id<MTLComputeCommandEncoder> encoder = gpu.encoder();
  printf("%d\n", [gpu.commands blitCommandEncoder] == nil);
  [encoder endEncoding];
  finish(gpu.commands);
}
CASE(commit_while_encoding) {
  Gpu gpu;
  id<MTLComputeCommandEncoder> encoder = gpu.encoder();
  finish(gpu.commands);
  [encoder endEncoding];
}
CASE(commit_twice) {
  Gpu gpu;
  finish(gpu.commands);
  [gpu.commands commit];
  [gpu.commands addCompletedHandler:^(id<MTLCommandBuffer>){}];
  printf("%d\n", [gpu.commands computeCommandEncoder] == nil);
}
CASE(an_encoder_is_left) {
  Gpu gpu;
  (void)gpu.encoder();
}
CASE(wait_before_commit) {
  Gpu gpu;
  [gpu.commands waitUntilCompleted];
  finish(gpu.commands);
}
CASE(too_many_command_buffers) {
  Gpu gpu;
  id<MTLCommandQueue> queue = [gpu.device newCommandQueueWithMaxCommandBufferCount:1];
  id<MTLCommandBuffer> first = [queue commandBuffer];
  printf("%d %d %d\n", first != nil, [queue commandBuffer] == nil, [gpu.device newCommandQueueWithMaxCommandBufferCount:0] == nil);
}
CASE(buffer_lengths) {
  Gpu gpu;
  printf("%d %d\n", [gpu.device newBufferWithLength:0 options:0] == nil, [gpu.device newBufferWithLength:gpu.device.maxBufferLength + 1 options:0] == nil);
}
CASE(memory_of_the_host) {
  Gpu gpu;
  const size_t page = static_cast<size_t>(getpagesize());
  char *memory = static_cast<char *>(aligned_alloc(page, 2 * page));
  printf("%d %d\n", [gpu.device newBufferWithBytesNoCopy:memory + 64 length:page options:0 deallocator:nil] == nil,
         [gpu.device newBufferWithBytesNoCopy:memory length:page + 4 options:0 deallocator:nil] == nil);
  free(memory);
}
CASE(blits) {
  Gpu gpu;
  id<MTLBlitCommandEncoder> encoder = [gpu.commands blitCommandEncoder];
  [encoder copyFromBuffer:gpu.y sourceOffset:60 toBuffer:gpu.y destinationOffset:0 size:8];
  [encoder fillBuffer:gpu.y range:NSMakeRange(~0ul, 2) value:1];
  [encoder endEncoding];
  finish(gpu.commands);
}
CASE(arguments_that_are_nil) {
  Gpu gpu;
#pragma clang diagnostic ignored "-Wnonnull"
  NSString *none = nil;
  printf("%d", [gpu.device newLibraryWithSource:none options:nil error:nil] == nil);
  printf("%d", [gpu.device newComputePipelineStateWithFunction:nil error:nil] == nil);
  printf("%d", [gpu.device newBufferWithBytes:nullptr length:4 options:0] == nil);
  printf("%d\n", [gpu.queue commandBufferWithDescriptor:nil] == nil);
  [gpu.queue addResidencySet:nil];
}
CASE(constants) {
  MTLFunctionConstantValues *values = [MTLFunctionConstantValues new];
  const uint32_t one = 1;
  [values setConstantValue:&one type:MTLDataTypeNone atIndex:0];
  [values setConstantValue:&one type:MTLDataTypeUInt atIndex:65536];
}

int main(int count, char **arguments) { return runCases(count, arguments); }
