// NSNumber and NSURL.
#include <variant>

#include "string.h"

namespace softmetal::objc {

class Number : public Object {
 public:
  static ClassPair objc;
  using Value = std::variant<long, unsigned long, double>;
  explicit Number(Value value) : Object(objc), value_(value) {}
  template <class T>
  T as() const {
    return std::visit([](auto value) { return static_cast<T>(value); }, value_);
  }
  std::string string() const {
    return std::visit([](auto value) { return std::to_string(value); }, value_);
  }
  static void define(Methods &methods, Methods &class_methods);

 private:
  Value value_;
};

class Url : public Object {
 public:
  static ClassPair objc;
  explicit Url(std::string path) : Object(objc), path_(std::move(path)) {}
  static void define(Methods &methods, Methods &class_methods);

 private:
  std::string path() const { return path_; }
  std::string path_;
};

namespace {
template <class T>
Ref<Number> number(T value) {
  if constexpr (std::is_floating_point_v<T>) return make<Number>(static_cast<double>(value));
  else if constexpr (std::is_signed_v<T>) return make<Number>(static_cast<long>(value));
  else return make<Number>(static_cast<unsigned long>(value));
}
Ref<Url> fileUrl(std::string path) { return make<Url>(path); }
}  // namespace

ClassPair Number::objc{"NSNumber", rootClass(), Storage::Counted, &Number::define, destroy<Number>};
ClassPair Url::objc{"NSURL", rootClass(), Storage::Counted, &Url::define, destroy<Url>};

void Number::define(Methods &methods, Methods &class_methods) {
  class_methods.addStatic<number<bool>>("numberWithBool:");
  class_methods.addStatic<number<int>>("numberWithInt:");
  class_methods.addStatic<number<unsigned>>("numberWithUnsignedInt:");
  class_methods.addStatic<number<long>>("numberWithLong:");
  class_methods.addStatic<number<unsigned long>>("numberWithUnsignedLong:");
  class_methods.addStatic<number<long long>>("numberWithLongLong:");
  class_methods.addStatic<number<unsigned long long>>("numberWithUnsignedLongLong:");
  class_methods.addStatic<number<float>>("numberWithFloat:");
  class_methods.addStatic<number<double>>("numberWithDouble:");
  class_methods.addStatic<number<long>>("numberWithInteger:");
  class_methods.addStatic<number<unsigned long>>("numberWithUnsignedInteger:");
  methods.add<&Number::as<bool>>("boolValue");
  methods.add<&Number::as<int>>("intValue");
  methods.add<&Number::as<unsigned>>("unsignedIntValue");
  methods.add<&Number::as<long>>("integerValue");
  methods.add<&Number::as<unsigned long>>("unsignedIntegerValue");
  methods.add<&Number::as<unsigned long long>>("unsignedLongLongValue");
  methods.add<&Number::as<float>>("floatValue");
  methods.add<&Number::as<double>>("doubleValue");
  methods.add<&Number::string>("stringValue");
  methods.add<&Number::string>("description");
}

void Url::define(Methods &methods, Methods &class_methods) {
  methods.add<&Url::path>("path");
  class_methods.addStatic<fileUrl>("fileURLWithPath:");
}

}  // namespace softmetal::objc

SOFTMETAL_EXPORT_CLASS(NSNumber, softmetal::objc::Number::objc);
SOFTMETAL_EXPORT_CLASS(NSURL, softmetal::objc::Url::objc);
