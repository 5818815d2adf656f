#include "string.h"

#include <cstring>

#include "utf.h"

namespace softmetal::objc {
namespace {

ClassPair short_string{"NSString", &String::objc.instance, Storage::Immortal, nullptr, nullptr};

std::string fromUtf16(const char *data, size_t units) {
  std::string out;
  for (size_t i = 0; i < units; ++i) {
    uint16_t unit, low = 0;
    memcpy(&unit, data + 2 * i, 2);
    const bool pair = isHighSurrogate(unit) && i + 1 < units;
    if (pair) memcpy(&low, data + 2 * ++i, 2);
    appendUtf8(out, pair ? fromSurrogates(unit, low) : unit);
  }
  return out;
}

std::string fromShortString(const void *string) {
  const auto bits = reinterpret_cast<uintptr_t>(string);
  std::string out;
  for (unsigned i = 0; i < (bits >> 3 & 31); ++i) out += static_cast<char>(bits >> (57 - 7 * i) & 127);
  return out;
}

std::string fromConstantString(const ConstantString &string) {
  constexpr uint32_t encoding = 3, utf16 = 2;
  return (string.flags & encoding) == utf16 ? fromUtf16(string.data, string.length) : std::string(string.data, string.bytes);
}

const char *utf8(void *self) {
  if (&classOf(self) == &String::objc.instance) return static_cast<String *>(self)->value().c_str();
  return static_cast<String *>(autorelease(new String(text(self))))->value().c_str();
}

// In units of UTF-16, as NSString counts.
unsigned long length(void *self) {
  unsigned long units = 0;
  for (const char c : text(self)) units += (c & 0xc0) == 0x80 ? 0 : (c & 0xf8) == 0xf0 ? 2 : 1;
  return units;
}

bool isEqualToString(void *self, void *other) { return other != nullptr && text(self) == text(other); }
std::string byAppending(void *self, std::string other) { return text(self) + other; }
Ref<String> withUTF8String(const char *characters) { return make<String>(characters); }
Ref<String> empty() { return make<String>(); }

}  // namespace

ClassPair String::objc{"NSString", rootClass(), Storage::Counted, &String::define, destroy<String>};

const Class &shortStringClass() { return short_string.instance; }

std::string text(const void *string) {
  if (string == nullptr) return "";
  if (isShortString(string)) return fromShortString(string);
  if (!isKindOf(string, String::objc.instance)) die("expected an NSString, got a %s", classOf(string).name);
  if (&classOf(string) == &softmetal_constant_string) return fromConstantString(*static_cast<const ConstantString *>(string));
  return static_cast<const String *>(string)->value();
}

Object *newString(std::string value) { return new String(std::move(value)); }

Ref<String> String::initWithUTF8String(const char *characters) {
  value_ = characters;
  return Ref<String>::adopt(this);
}

Ref<String> String::initWithBytes(const void *bytes, unsigned long length, unsigned long encoding) {
  constexpr unsigned long ascii = 1, utf8 = 4;
  if (encoding != ascii && encoding != utf8) die("NSString: encoding %lu, known are NSASCIIStringEncoding and NSUTF8StringEncoding", encoding);
  value_.assign(static_cast<const char *>(bytes), length);
  return Ref<String>::adopt(this);
}

void String::define(Methods &methods, Methods &class_methods) {
  methods.addFunction<utf8>("UTF8String");
  methods.addFunction<objc::length>("length");
  methods.addFunction<isEqualToString>("isEqualToString:");
  methods.addFunction<byAppending>("stringByAppendingString:");
  methods.add<&String::initWithUTF8String>("initWithUTF8String:");
  methods.add<&String::initWithBytes>("initWithBytes:length:encoding:");
  class_methods.addStatic<empty>("alloc");
  class_methods.addStatic<empty>("string");
  class_methods.addStatic<withUTF8String>("stringWithUTF8String:");
}

}  // namespace softmetal::objc

extern "C" const softmetal::objc::Class softmetal_constant_string{
    &softmetal::objc::short_string.meta, "NSConstantString", &softmetal::objc::String::objc.instance, softmetal::objc::Storage::Immortal,
    nullptr, nullptr, {}, nullptr};

SOFTMETAL_EXPORT_CLASS(NSString, softmetal::objc::String::objc);
