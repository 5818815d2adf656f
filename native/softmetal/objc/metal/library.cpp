#include "library.h"

#include <algorithm>

#include "../core/misuse.h"
#include "../foundation/string.h"

SOFTMETAL_STRING(MTLLibraryErrorDomain);

namespace softmetal::objc {
namespace {

constexpr long kFunctionNotFound = 5, kCompileFailure = 3;

struct ConstantType {
  unsigned long type;
  const char *name;
  size_t bytes;
};
// MTLDataType, as MSL writes it.
constexpr ConstantType kConstantTypes[] = {
    {3, "float", 4},  {4, "float2", 8}, {5, "float3", 16}, {6, "float4", 16}, {16, "half", 2},  {29, "int", 4},   {30, "int2", 8},
    {31, "int3", 16}, {32, "int4", 16}, {33, "uint", 4},   {34, "uint2", 8},  {35, "uint3", 16}, {36, "uint4", 16}, {37, "short", 2},
    {41, "ushort", 2}, {45, "char", 1}, {49, "uchar", 1},  {53, "bool", 1},   {81, "long", 8},  {85, "ulong", 8},
};

std::vector<sm_constant> inC(const std::map<uint32_t, ConstantValue> &values) {
  std::vector<sm_constant> all;
  for (const auto &[index, value] : values) all.push_back({index, value.type.c_str(), value.bytes.data(), value.bytes.size()});
  return all;
}

Ref<CompileOptions> newOptions() { return make<CompileOptions>(); }
Ref<FunctionConstantValues> newValues() { return make<FunctionConstantValues>(); }

}  // namespace

ClassPair CompileOptions::objc{"MTLCompileOptions", rootClass(), Storage::Counted, &CompileOptions::define, destroy<CompileOptions>};
ClassPair FunctionConstantValues::objc{"MTLFunctionConstantValues", rootClass(), Storage::Counted, &FunctionConstantValues::define,
                                       destroy<FunctionConstantValues>};
ClassPair Library::objc{"MTLLibrary", rootClass(), Storage::Counted, &Library::define, destroy<Library>};
ClassPair Function::objc{"MTLFunction", rootClass(), Storage::Counted, &Function::define, destroy<Function>};
ClassPair Pipeline::objc{"MTLComputePipelineState", rootClass(), Storage::Counted, &Pipeline::define, destroy<Pipeline>};

std::vector<std::string> CompileOptions::definitions() const {
  std::vector<std::string> all;
  if (!macros_) return all;
  for (const Pair &pair : macros_->pairs())
    all.push_back(text(pair.key) + "=" + description(pair.value));
  return all;
}

void CompileOptions::define(Methods &methods, Methods &class_methods) {
  class_methods.addStatic<newOptions>("new");
  class_methods.addStatic<newOptions>("alloc");
  methods.add<&CompileOptions::preprocessorMacros>("preprocessorMacros");
  methods.add<&CompileOptions::setPreprocessorMacros>("setPreprocessorMacros:");
  methods.add<&CompileOptions::fastMathEnabled>("fastMathEnabled");
  methods.add<&CompileOptions::setFastMathEnabled>("setFastMathEnabled:");
  methods.add<&CompileOptions::mathMode>("mathMode");
  methods.add<&CompileOptions::setMathMode>("setMathMode:");
  methods.add<&CompileOptions::mathFunctions>("mathFloatingPointFunctions");
  methods.add<&CompileOptions::setMathFunctions>("setMathFloatingPointFunctions:");
  methods.add<&CompileOptions::languageVersion>("languageVersion");
  methods.add<&CompileOptions::setLanguageVersion>("setLanguageVersion:");
}

void FunctionConstantValues::set(const void *value, unsigned long type, unsigned long index) {
  const auto *found = std::find_if(std::begin(kConstantTypes), std::end(kConstantTypes), [&](const ConstantType &each) { return each.type == type; });
  if (found == std::end(kConstantTypes)) return reportMisuse("setConstantValue: MTLDataType " + std::to_string(type) + " is no type of function constants");
  if (value == nullptr) return reportMisuse("setConstantValue: the value is null");
  if (index > 65535) return reportMisuse("setConstantValue: index " + std::to_string(index) + " is beyond 65535");
  const auto *bytes = static_cast<const uint8_t *>(value);
  values_[static_cast<uint32_t>(index)] = {found->name, {bytes, bytes + found->bytes}};
}

void FunctionConstantValues::define(Methods &methods, Methods &class_methods) {
  class_methods.addStatic<newValues>("new");
  class_methods.addStatic<newValues>("alloc");
  methods.add<&FunctionConstantValues::set>("setConstantValue:type:atIndex:");
  methods.add<&FunctionConstantValues::reset>("reset");
}

bool Library::has(const std::string &name) const {
  for (size_t i = 0; i < sm_library_kernel_count(library_.get()); ++i)
    if (name == sm_library_kernel_name(library_.get(), i)) return true;
  return false;
}

Ref<Function> Library::newFunction(std::string name) {
  return has(name) ? make<Function>(*device_, library_, name, std::map<uint32_t, ConstantValue>()) : nullptr;
}

Ref<Function> Library::newFunctionWithConstants(std::string name, FunctionConstantValues *values, void *error) {
  if (values == nullptr) {
    reportMisuse("newFunctionWithName:constantValues:error: constantValues is nil");
    return nullptr;
  }
  if (!has(name)) {
    setError(error, makeError(softmetal_value_MTLLibraryErrorDomain.data, kFunctionNotFound, "the library has no function \"" + name + "\""));
    return nullptr;
  }
  auto function = make<Function>(*device_, library_, name, values->values());
  char why[SM_ERROR_BYTES];
  sm_pipeline *pipeline = function->makePipeline(why);
  if (pipeline == nullptr) {
    setError(error, makeError(softmetal_value_MTLLibraryErrorDomain.data, kCompileFailure, "function \"" + name + "\": " + why));
    return nullptr;
  }
  sm_pipeline_destroy(pipeline);
  return function;
}

Ref<Array> Library::functionNames() const {
  auto names = make<Array>();
  for (size_t i = 0; i < sm_library_kernel_count(library_.get()); ++i) names->add(make<String>(sm_library_kernel_name(library_.get(), i)).get());
  return names;
}

void Library::define(Methods &methods, Methods &) {
  methods.add<&Library::newFunction>("newFunctionWithName:");
  methods.add<&Library::newFunctionWithConstants>("newFunctionWithName:constantValues:error:");
  methods.add<&Library::functionNames>("functionNames");
  methods.add<&Library::device>("device");
  methods.add<&Library::label>("label");
  methods.add<&Library::setLabel>("setLabel:");
}

sm_pipeline *Function::makePipeline(char *error) const {
  const std::vector<sm_constant> constants = inC(values_);
  return sm_pipeline_create(library_.get(), name_.c_str(), constants.data(), constants.size(), error);
}

void Function::define(Methods &methods, Methods &) {
  methods.add<&Function::name>("name");
  methods.add<&Function::device>("device");
  methods.add<&Function::label>("label");
  methods.add<&Function::setLabel>("setLabel:");
}

unsigned long Pipeline::maxThreads() const {
  return std::min<unsigned long>(sm_pipeline_max_threads(pipeline_), device_->options().execution.max_threads_per_threadgroup);
}

void Pipeline::define(Methods &methods, Methods &) {
  methods.add<&Pipeline::maxThreads>("maxTotalThreadsPerThreadgroup");
  methods.add<&Pipeline::executionWidth>("threadExecutionWidth");
  methods.add<&Pipeline::staticThreadgroupMemory>("staticThreadgroupMemoryLength");
  methods.add<&Pipeline::label>("label");
  methods.add<&Pipeline::device>("device");
}

}  // namespace softmetal::objc

SOFTMETAL_EXPORT_CLASS(MTLCompileOptions, softmetal::objc::CompileOptions::objc);
SOFTMETAL_EXPORT_CLASS(MTLFunctionConstantValues, softmetal::objc::FunctionConstantValues::objc);
