// NSString.
#pragma once
#include <string>

#include "../core/strings.h"
#include "root.h"

namespace softmetal::objc {

class String : public Object {
 public:
  static ClassPair objc;
  explicit String(std::string value = "") : Object(objc), value_(std::move(value)) {}
  const std::string &value() const { return value_; }
  static void define(Methods &methods, Methods &class_methods);

 private:
  Ref<String> initWithUTF8String(const char *characters);
  Ref<String> initWithBytes(const void *bytes, unsigned long length, unsigned long encoding);
  std::string value_;
};

// A string that exists from the start, such as the key of a dictionary.
constexpr ConstantString constantString(const char *characters, uint32_t length, const Class &isa) { return {&isa, 0, length, length, 0, characters}; }

}  // namespace softmetal::objc

extern "C" const softmetal::objc::Class softmetal_constant_string __asm__("._OBJC_CLASS_NSConstantString");

// extern NSString *const NAME, with its own name as its value.
#define SOFTMETAL_STRING(NAME)                                                                                                              \
  static const softmetal::objc::ConstantString softmetal_value_##NAME = softmetal::objc::constantString(#NAME, sizeof #NAME - 1, softmetal_constant_string); \
  extern "C" const softmetal::objc::ConstantString *const NAME = &softmetal_value_##NAME
