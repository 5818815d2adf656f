// A host inside of Node, which loads addons privately: a kernel that faults, and one that does not. The addon's exports are one text.
#import <Metal/Metal.h>

#include <string>

extern "C" int napi_create_string_utf8(void *environment, const char *text, size_t length, void **result);

static std::string run(id<MTLDevice> device, NSString *body) {
  NSString *source = [[@"kernel void k(device uint *y [[buffer(0)]], uint i [[thread_position_in_grid]]) { " stringByAppendingString:body] stringByAppendingString:@" }"];
  NSError *error = nil;
  id<MTLFunction> function = [[device newLibraryWithSource:source options:nil error:&error] newFunctionWithName:@"k"];
  id<MTLComputePipelineState> pipeline = function == nil ? nil : [device newComputePipelineStateWithFunction:function error:&error];
  if (pipeline == nil) return error.localizedDescription.UTF8String;
  id<MTLCommandBuffer> commands = [[device newCommandQueue] commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [commands computeCommandEncoder];
  [encoder setComputePipelineState:pipeline];
  [encoder setBuffer:[device newBufferWithLength:64 options:MTLResourceStorageModeShared] offset:0 atIndex:0];
  [encoder dispatchThreads:MTLSizeMake(1, 1, 1) threadsPerThreadgroup:MTLSizeMake(1, 1, 1)];
  [encoder endEncoding];
  [commands commit];
  [commands waitUntilCompleted];
  return commands.error == nil ? "done" : commands.error.localizedDescription.UTF8String;
}

extern "C" __attribute__((visibility("default"))) void *napi_register_module_v1(void *environment, void *exports) {
  std::string text;
  @autoreleasepool {
    id<MTLDevice> device = MTLCreateSystemDefaultDevice();
    text = run(device, @"y[i] = 7;") + "\n" + run(device, @"y[i + 16] = 7;");
  }
  napi_create_string_utf8(environment, text.c_str(), text.size(), &exports);
  return exports;
}
