#include "objects.h"

namespace rlx {
namespace {

// Every operation rounds as IEEE says: results must be those of the CPU.
MTLCompileOptions* safe_math() {
  MTLCompileOptions* options = [MTLCompileOptions new];
  options.languageVersion = MTLLanguageVersion3_0;
#if RLX_MACOS_15_SDK
  if (@available(macOS 15.0, *)) {
    options.mathMode = MTLMathModeSafe;
    options.mathFloatingPointFunctions = MTLMathFloatingPointFunctionsPrecise;
    return options;
  }
#endif
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wdeprecated-declarations"
  options.fastMathEnabled = NO;
#pragma clang diagnostic pop
  return options;
}

void set_constant(MTLFunctionConstantValues* values, const GpuConstant& constant) {
  switch (constant.type) {
    case GpuConstant::Type::boolean: {
      const bool value = constant.bits != 0;
      return [values setConstantValue:&value type:MTLDataTypeBool atIndex:constant.index];
    }
    case GpuConstant::Type::uint: return [values setConstantValue:&constant.bits type:MTLDataTypeUInt atIndex:constant.index];
    case GpuConstant::Type::sint: return [values setConstantValue:&constant.bits type:MTLDataTypeInt atIndex:constant.index];
    case GpuConstant::Type::real: return [values setConstantValue:&constant.bits type:MTLDataTypeFloat atIndex:constant.index];
  }
}

std::string key_of(const std::string& function, const std::vector<GpuConstant>& constants) {
  std::string key = function;
  for (const GpuConstant& c : constants)
    key += ' ' + std::to_string(c.index) + ':' + std::to_string(static_cast<int>(c.type)) + '=' + std::to_string(c.bits);
  return key;
}

}  // namespace

id<MTLLibrary> compile_library(id<MTLDevice> device, const std::string& label, const std::string& source, std::string& error) {
  NSString* text = string_of(source);
  NSError* failure = nil;
  id<MTLLibrary> library = text == nil ? nil : [device newLibraryWithSource:text options:safe_math() error:&failure];
  if (library == nil) error = text == nil ? "the source is no UTF-8" : text_of(failure);
  library.label = string_of(label);
  return library;
}

std::shared_ptr<GpuPipeline> MetalLibrary::pipeline(const std::string& function, const std::vector<GpuConstant>& constants, std::string& error) {
  @autoreleasepool {
    const std::string key = key_of(function, constants);
    const KeyedLock::Hold making(making_, key);
    if (auto pipeline = find(key)) return pipeline;
    MTLFunctionConstantValues* values = [MTLFunctionConstantValues new];
    for (const GpuConstant& constant : constants) set_constant(values, constant);
    NSError* failure = nil;
    id<MTLFunction> found = [library_ newFunctionWithName:string_of(function) constantValues:values error:&failure];
    id<MTLComputePipelineState> state = found == nil ? nil : [device_ newComputePipelineStateWithFunction:found error:&failure];
    if (state == nil) {
      error = text_of(failure);
      return nullptr;
    }
    auto pipeline = std::make_shared<MetalPipeline>(state);
    const std::lock_guard<std::mutex> lock(mutex_);
    pipelines_[key] = pipeline;
    return pipeline;
  }
}

std::shared_ptr<MetalPipeline> MetalLibrary::find(const std::string& key) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto known = pipelines_.find(key);
  return known == pipelines_.end() ? nullptr : known->second;
}

}  // namespace rlx
