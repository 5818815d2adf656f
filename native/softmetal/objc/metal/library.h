// MTLLibrary, MTLFunction and what they are made with.
#pragma once
#include <map>
#include <memory>
#include <vector>

#include "device.h"

namespace softmetal::objc {

class CompileOptions : public Object {
 public:
  static ClassPair objc;
  CompileOptions() : Object(objc) {}
  // "NAME=VALUE" of each macro.
  std::vector<std::string> definitions() const;
  // As __METAL_VERSION__ has it: 310 for 3.1.
  unsigned metalVersion() const { return static_cast<unsigned>((language_version_ >> 16) * 100 + (language_version_ & 0xffff) * 10); }
  static void define(Methods &methods, Methods &class_methods);

 private:
  Ref<Dictionary> preprocessorMacros() const { return macros_; }
  void setPreprocessorMacros(Dictionary *macros) { macros_ = macros; }
  bool fastMathEnabled() const { return math_mode_ == kFast; }
  void setFastMathEnabled(bool enabled) { math_mode_ = enabled ? kFast : kSafe; }
  long mathMode() const { return math_mode_; }
  void setMathMode(long mode) { math_mode_ = mode; }
  long mathFunctions() const { return math_functions_; }
  void setMathFunctions(long functions) { math_functions_ = functions; }
  unsigned long languageVersion() const { return language_version_; }
  void setLanguageVersion(unsigned long version) { language_version_ = version; }
  static constexpr long kSafe = 0, kFast = 2;
  Ref<Dictionary> macros_;
  long math_mode_ = kFast, math_functions_ = 0;
  unsigned long language_version_ = (3 << 16) + 2;
};

struct ConstantValue {
  std::string type;  // as in MSL
  std::vector<uint8_t> bytes;
};

class FunctionConstantValues : public Object {
 public:
  static ClassPair objc;
  FunctionConstantValues() : Object(objc) {}
  const std::map<uint32_t, ConstantValue> &values() const { return values_; }
  static void define(Methods &methods, Methods &class_methods);

 private:
  void set(const void *value, unsigned long type, unsigned long index);
  void reset() { values_.clear(); }
  std::map<uint32_t, ConstantValue> values_;
};

class Library : public Object {
 public:
  static ClassPair objc;
  Library(Device &device, sm_library *library) : Object(objc), device_(&device), library_(library, sm_library_destroy) {}
  static void define(Methods &methods, Methods &class_methods);

 private:
  bool has(const std::string &name) const;
  Ref<Function> newFunction(std::string name);
  Ref<Function> newFunctionWithConstants(std::string name, FunctionConstantValues *values, void *error);
  Ref<Array> functionNames() const;
  Ref<Device> device() const { return device_; }
  std::string label() const { return label_; }
  void setLabel(std::string label) { label_ = std::move(label); }
  Ref<Device> device_;
  std::shared_ptr<sm_library> library_;
  std::string label_;
};

class Function : public Object {
 public:
  static ClassPair objc;
  Function(Device &device, std::shared_ptr<sm_library> library, std::string name, std::map<uint32_t, ConstantValue> values)
      : Object(objc), device_(&device), library_(std::move(library)), name_(std::move(name)), values_(std::move(values)) {}
  // nullptr: `error` says why.
  sm_pipeline *makePipeline(char *error) const;
  std::string label() const { return label_; }
  static void define(Methods &methods, Methods &class_methods);

 private:
  std::string name() const { return name_; }
  Ref<Device> device() const { return device_; }
  void setLabel(std::string label) { label_ = std::move(label); }
  Ref<Device> device_;
  std::shared_ptr<sm_library> library_;
  std::string name_;
  std::map<uint32_t, ConstantValue> values_;
  std::string label_;
};

class Pipeline : public Object {
 public:
  static ClassPair objc;
  Pipeline(Device &device, sm_pipeline *pipeline, std::string label) : Object(objc), device_(&device), pipeline_(pipeline), label_(std::move(label)) {}
  ~Pipeline() { sm_pipeline_destroy(pipeline_); }
  const sm_pipeline *pipeline() const { return pipeline_; }
  unsigned long maxThreads() const;
  static void define(Methods &methods, Methods &class_methods);

 private:
  unsigned long executionWidth() const { return 32; }
  // What a kernel declares itself is counted when it runs.
  unsigned long staticThreadgroupMemory() const { return 0; }
  std::string label() const { return label_; }
  Ref<Device> device() const { return device_; }
  Ref<Device> device_;
  sm_pipeline *pipeline_;
  std::string label_;
};

}  // namespace softmetal::objc
