// Metal's objects as a host uses them.
#include "cases.h"

#include <unistd.h>

#include <chrono>
#include <thread>

namespace {

NSString *const source = @"#include <metal_stdlib>\n"
                          "using namespace metal;\n"
                          "constant uint SCALE [[function_constant(0)]];\n"
                          "constant bool EXTRA [[function_constant(1)]];\n"
                          "kernel void scale(device const uint *x [[buffer(0)]], device uint *y [[buffer(1)]], constant uint &shift [[buffer(2)]],\n"
                          "                  uint i [[thread_position_in_grid]]) {\n"
                          "  y[i] = x[i] * SCALE + shift;\n"
                          "}\n"
                          "kernel void add_one(device uint *y [[buffer(0)]], uint i [[thread_position_in_grid]]) { y[i] += 1; }\n"
                          "kernel void reverse(device uint *y [[buffer(0)]], threadgroup uint *t [[threadgroup(0)]], uint i [[thread_index_in_threadgroup]],\n"
                          "                    uint n [[threads_per_threadgroup]]) {\n"
                          "  t[i] = y[i];\n"
                          "  threadgroup_barrier(mem_flags::mem_threadgroup);\n"
                          "  y[i] = t[n - 1 - i];\n"
                          "}\n"
                          "[[max_total_threads_per_threadgroup(128)]] kernel void narrow(device uint *y [[buffer(0)]]) { y[0] = 1; }\n"
                          "kernel void beyond(device uint *y [[buffer(0)]], uint i [[thread_position_in_grid]]) {\n"
                          "  y[i + 4096] = 1;\n"
                          "}\n"
                          "kernel void divides(device uint *y [[buffer(0)]]) { y[0] = y[0] / y[1]; }\n"
                          "kernel void same_place(device uint *y [[buffer(0)]], uint i [[thread_position_in_grid]]) { y[0] = i; }\n";

void configure(softmetal_options options) { softmetal_configure(&options); }
const softmetal_options plain = {{SM_FORWARD, 1, 1, 1024}, 0, 0};

struct Gpu {
  id<MTLDevice> device = MTLCreateSystemDefaultDevice();
  id<MTLCommandQueue> queue = [device newCommandQueue];
  id<MTLLibrary> library = nil;

  id<MTLComputePipelineState> pipeline(NSString *name, uint32_t scale = 1) {
    NSError *error = nil;
    if (library == nil) library = [device newLibraryWithSource:source options:nil error:&error];
    MTLFunctionConstantValues *values = [MTLFunctionConstantValues new];
    const bool extra = false;
    [values setConstantValue:&scale type:MTLDataTypeUInt atIndex:0];
    [values setConstantValue:&extra type:MTLDataTypeBool atIndex:1];
    id<MTLFunction> function = [library newFunctionWithName:name constantValues:values error:&error];
    function.label = @"the function's label";
    id<MTLComputePipelineState> made = function == nil ? nil : [device newComputePipelineStateWithFunction:function error:&error];
    if (made == nil) printf("%s\n", textOf(error));
    return made;
  }
  id<MTLBuffer> buffer(const std::vector<uint32_t> &values) {
    return [device newBufferWithBytes:values.data() length:values.size() * 4 options:MTLResourceStorageModeShared];
  }
  // One dispatch of `threads` threads with y at index 0.
  id<MTLCommandBuffer> run(NSString *name, id<MTLBuffer> y, NSUInteger threads) {
    id<MTLCommandBuffer> commands = [queue commandBuffer];
    id<MTLComputeCommandEncoder> encoder = [commands computeCommandEncoder];
    [encoder setComputePipelineState:pipeline(name)];
    [encoder setBuffer:y offset:0 atIndex:0];
    [encoder dispatchThreads:MTLSizeMake(threads, 1, 1) threadsPerThreadgroup:MTLSizeMake(threads, 1, 1)];
    [encoder endEncoding];
    return commands;
  }
};

void finish(id<MTLCommandBuffer> commands) {
  [commands commit];
  [commands waitUntilCompleted];
  printf("status %lu, %s %ld %s\n", static_cast<unsigned long>(commands.status), textOf(commands.error.domain), commands.error.code, textOf(commands.error));
}

void print(id<MTLBuffer> buffer) {
  const auto *values = static_cast<const uint32_t *>(buffer.contents);
  for (NSUInteger i = 0; i < buffer.length / 4; ++i) printf("%u ", values[i]);
  printf("\n");
}

}  // namespace

CASE(device) {
  Gpu gpu;
  id<MTLDevice> device = gpu.device;
  printf("%s\n", textOf(device.name));
  printf("%lu %lu %d\n", device.maxThreadgroupMemoryLength, device.maxBufferLength, device.hasUnifiedMemory);
  printf("%d %d\n", [device supportsFamily:MTLGPUFamilyApple7], [device supportsFamily:MTLGPUFamilyApple9]);
  printf("%d\n", device.recommendedMaxWorkingSetSize > 0);
}

CASE(buffers) {
  Gpu gpu;
  id<MTLBuffer> zeroed = [gpu.device newBufferWithLength:64 options:MTLResourceStorageModeShared | MTLResourceHazardTrackingModeUntracked];
  zeroed.label = @"the label of a buffer";
  printf("%s %lu %lu %lu %lu %d\n", textOf(zeroed.label), zeroed.length, zeroed.storageMode, zeroed.hazardTrackingMode, gpu.device.currentAllocatedSize,
         zeroed.device == gpu.device);
  print(zeroed);
  print(gpu.buffer({1, 2, 3}));
  const size_t page = static_cast<size_t>(getpagesize());
  void *memory = aligned_alloc(page, 2 * page);
  static_cast<uint32_t *>(memory)[0] = 41;
  @autoreleasepool {
    id<MTLBuffer> wrapped = [gpu.device newBufferWithBytesNoCopy:memory
                                                          length:2 * page
                                                         options:MTLResourceStorageModeShared
                                                     deallocator:^(void *address, NSUInteger length) {
                                                       printf("freed %d %d\n", address == memory, length == 2 * page);
                                                     }];
    printf("%d\n", wrapped.contents == memory);
    finish(gpu.run(@"add_one", wrapped, 1));
  }
  printf("%u\n", static_cast<uint32_t *>(memory)[0]);
  free(memory);
}

CASE(libraries) {
  Gpu gpu;
  MTLCompileOptions *options = [MTLCompileOptions new];
  printf("%d %lx\n", options.fastMathEnabled, options.languageVersion);
  if (@available(macOS 15.0, *)) options.mathMode = MTLMathModeSafe;
  options.languageVersion = MTLLanguageVersion3_0;
  options.preprocessorMacros = @{@"VALUE" : @7, @"NAME" : @"named"};
  printf("%d\n", options.fastMathEnabled);
  NSError *error = nil;
  NSString *text = @"kernel void NAME(device float *o [[buffer(0)]]) { *o = VALUE + __METAL_VERSION__; }";
  id<MTLLibrary> library = [gpu.device newLibraryWithSource:text options:options error:&error];
  printf("%s %s\n", textOf(library.functionNames.firstObject), textOf(error));
  id<MTLFunction> function = [library newFunctionWithName:@"named"];
  printf("%s %d\n", textOf(function.name), [library newFunctionWithName:@"other"] == nil);
  id<MTLLibrary> refused = [gpu.device newLibraryWithSource:@"kernel void k(device float *o [[buffer(0)]]) {\n  *o = nothing;\n}" options:nil error:&error];
  printf("%d %s %ld\n%s", refused == nil, textOf(error.domain), error.code, textOf(error));
}

CASE(functions_and_pipelines) {
  Gpu gpu;
  id<MTLComputePipelineState> scale = gpu.pipeline(@"scale"), narrow = gpu.pipeline(@"narrow");
  printf("%lu %lu %lu %s\n", scale.maxTotalThreadsPerThreadgroup, narrow.maxTotalThreadsPerThreadgroup, scale.threadExecutionWidth, textOf(scale.label));
  gpu.pipeline(@"missing");
  NSError *error = nil;
  printf("%d %s\n", [gpu.device newComputePipelineStateWithFunction:[gpu.library newFunctionWithName:@"scale"] error:&error] == nil, textOf(error));
  MTLFunctionConstantValues *values = [MTLFunctionConstantValues new];
  const float wrong = 1;
  [values setConstantValue:&wrong type:MTLDataTypeFloat atIndex:0];
  printf("%d %s\n", [gpu.library newFunctionWithName:@"scale" constantValues:values error:&error] == nil, textOf(error));
  [values reset];
  printf("%d\n", [gpu.library newFunctionWithName:@"add_one" constantValues:values error:&error] != nil);
}

CASE(a_command_buffer) {
  Gpu gpu;
  const softmetal_counters before = softmetal_count();
  id<MTLBuffer> x = gpu.buffer({1, 2, 3, 4}), y = gpu.buffer({0, 0, 0, 0, 0, 0, 0, 0});
  id<MTLCommandBuffer> commands = [gpu.queue commandBuffer];
  commands.label = @"a label of a command buffer";
  id<MTLComputeCommandEncoder> encoder = [commands computeCommandEncoderWithDispatchType:MTLDispatchTypeConcurrent];
  encoder.label = @"a label";
  uint32_t shift = 5;
  [encoder pushDebugGroup:@"group"];
  [encoder setComputePipelineState:gpu.pipeline(@"scale", 10)];
  [encoder setBuffer:x offset:0 atIndex:0];
  [encoder setBuffer:y offset:16 atIndex:1];
  [encoder setBytes:&shift length:4 atIndex:2];
  shift = 0;  // copied
  [encoder dispatchThreads:MTLSizeMake(4, 1, 1) threadsPerThreadgroup:MTLSizeMake(3, 1, 1)];
  [encoder memoryBarrierWithScope:MTLBarrierScopeBuffers];
  [encoder setComputePipelineState:gpu.pipeline(@"reverse")];
  [encoder setBuffer:y offset:0 atIndex:0];
  [encoder setThreadgroupMemoryLength:32 atIndex:0];
  [encoder dispatchThreadgroups:MTLSizeMake(1, 1, 1) threadsPerThreadgroup:MTLSizeMake(8, 1, 1)];
  [encoder popDebugGroup];
  [encoder endEncoding];
  printf("status %lu\n", static_cast<unsigned long>(commands.status));
  finish(commands);
  print(y);
  printf("%d %s %s\n", commands.GPUEndTime >= commands.GPUStartTime, textOf(commands.label), textOf(encoder.label));
  const softmetal_counters after = softmetal_count();
  printf("%llu %llu %llu\n", (unsigned long long)(after.committed - before.committed), (unsigned long long)(after.dispatches - before.dispatches),
         (unsigned long long)(after.barriers - before.barriers));
}

CASE(completion) {
  Gpu gpu;
  std::vector<int> order;
  std::vector<int> *const seen = &order;
  const std::thread::id here = std::this_thread::get_id();
  id<MTLBuffer> y = gpu.buffer({0});
  id<MTLCommandBuffer> last = nil;
  for (int i = 0; i < 5; ++i) {
    last = gpu.run(@"add_one", y, 1);
    [last addScheduledHandler:^(id<MTLCommandBuffer> scheduled) {
      seen->push_back(static_cast<int>(100 * scheduled.status) + i);
    }];
    [last addCompletedHandler:^(id<MTLCommandBuffer> completed) {
      [completed waitUntilCompleted];
      seen->push_back(static_cast<int>(100 * completed.status) + i + (std::this_thread::get_id() == here ? 1000 : 0));
    }];
    [last commit];
  }
  [last waitUntilCompleted];
  for (int each : order) printf("%d ", each);
  print(y);
}

CASE(the_host_goes_on_while_commands_run) {
  Gpu gpu;
  id<MTLBuffer> y = gpu.buffer({0});
  std::vector<id<MTLCommandBuffer>> all;
  for (int i = 0; i < 20; ++i) {
    all.push_back(gpu.run(@"add_one", y, 1));
    [all.back() commit];
    @autoreleasepool {
      (void)[gpu.device newBufferWithLength:4096 options:MTLResourceStorageModeShared];
      (void)[gpu.device newLibraryWithSource:source options:nil error:nil];
    }
  }
  for (id<MTLCommandBuffer> each : all) [each waitUntilCompleted];
  print(y);
}

CASE(a_queue_of_two) {
  Gpu gpu;
  gpu.queue = [gpu.device newCommandQueueWithMaxCommandBufferCount:2];
  id<MTLBuffer> y = gpu.buffer({0});
  for (int i = 0; i < 6; ++i) [gpu.run(@"add_one", y, 1) commit];
  finish(gpu.run(@"add_one", y, 1));
  print(y);
}

CASE(residency) {
  Gpu gpu;
  MTLResidencySetDescriptor *descriptor = [MTLResidencySetDescriptor new];
  descriptor.label = @"weights of the model";
  id<MTLResidencySet> set = [gpu.device newResidencySetWithDescriptor:descriptor error:nil];
  @autoreleasepool {
    id<MTLBuffer> y = gpu.buffer({1, 2});
    [set addAllocation:y];
    printf("%d %llu %lu\n", [set containsAllocation:y], (unsigned long long)set.allocatedSize, set.allocationCount);
    [set commit];
    [set requestResidency];
    [gpu.queue addResidencySet:set];
    printf("%llu %s\n", (unsigned long long)set.allocatedSize, textOf(set.label));
    [set removeAllocation:y];
  }
  printf("%lld", (long long)softmetal_count().buffers);
  [set commit];
  printf(" %lld\n", (long long)softmetal_count().buffers);
}

CASE(faults_of_kernels) {
  configure({{SM_FORWARD, 1, 1, 1024}, 1, 0});
  Gpu gpu;
  configure(plain);
  id<MTLBuffer> y = gpu.buffer({0, 0});
  finish(gpu.run(@"beyond", y, 2));
  finish(gpu.run(@"divides", y, 1));
  finish(gpu.run(@"same_place", y, 2));
  finish(gpu.run(@"add_one", y, 2));
}

CASE(a_forgotten_barrier) {
  configure({{SM_REVERSE, 1, 1, 1024}, 1, 0});
  Gpu gpu;
  configure(plain);
  id<MTLBuffer> y = gpu.buffer({0, 0});
  for (const MTLDispatchType type : {MTLDispatchTypeSerial, MTLDispatchTypeConcurrent}) {
    id<MTLCommandBuffer> commands = [gpu.queue commandBuffer];
    id<MTLComputeCommandEncoder> encoder = [commands computeCommandEncoderWithDispatchType:type];
    [encoder setComputePipelineState:gpu.pipeline(@"add_one")];
    [encoder setBuffer:y offset:0 atIndex:0];
    for (int i = 0; i < 2; ++i) [encoder dispatchThreads:MTLSizeMake(1, 1, 1) threadsPerThreadgroup:MTLSizeMake(1, 1, 1)];
    [encoder endEncoding];
    finish(commands);
  }
}

CASE(no_memory) {
  configure({{SM_FORWARD, 1, 1, 1024}, 0, 1000});
  Gpu gpu;
  configure(plain);
  id<MTLBuffer> first = [gpu.device newBufferWithLength:600 options:0];
  printf("%lu %d %d\n", first.length, [gpu.device newBufferWithLength:600 options:0] == nil, [gpu.device newBufferWithLength:400 options:0] != nil);
  first = nil;
  printf("%d %llu\n", [gpu.device newBufferWithLength:600 options:0] != nil, (unsigned long long)gpu.device.recommendedMaxWorkingSetSize);
}

CASE(a_lost_device) {
  Gpu gpu;
  id<MTLBuffer> y = gpu.buffer({0});
  id<MTLCommandBuffer> encoded = gpu.run(@"add_one", y, 1);
  softmetal_lose_devices();
  finish(encoded);
  NSError *error = nil;
  printf("%d %d %d\n", [gpu.device newBufferWithLength:4 options:0] == nil, [gpu.device newCommandQueue] == nil,
         [gpu.device newLibraryWithSource:source options:nil error:&error] == nil);
  printf("%s\n", textOf(error));
  print(y);
  Gpu next;
  finish(next.run(@"add_one", next.buffer({0}), 1));
}

CASE(fewer_threads) {
  configure({{SM_RANDOM, 7, 2, 256}, 0, 0});
  Gpu gpu;
  configure(plain);
  printf("%lu %lu\n", gpu.pipeline(@"add_one").maxTotalThreadsPerThreadgroup, gpu.pipeline(@"narrow").maxTotalThreadsPerThreadgroup);
}

int main(int count, char **arguments) { return runCases(count, arguments); }
