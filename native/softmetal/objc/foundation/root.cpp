#include "root.h"

#include "string.h"

namespace softmetal::objc {
namespace {

std::string description(void *self) { return isKindOf(self, String::objc.instance) ? text(self) : std::string("<") + classOf(self).name + ">"; }
void *init(void *self) { return self; }
bool isEqual(void *self, void *other) {
  if (self == other) return true;
  return isKindOf(self, String::objc.instance) && isKindOf(other, String::objc.instance) && text(self) == text(other);
}
unsigned long hash(void *self) { return isKindOf(self, String::objc.instance) ? std::hash<std::string>()(text(self)) : reinterpret_cast<unsigned long>(self); }
const Class *classOfInstance(void *self) { return &classOf(self); }
const Class *classItself(void *self) { return static_cast<const Class *>(self); }
bool isKindOfClass(void *self, const Class *other) { return isKindOf(self, *other); }
bool responds(void *self, const Selector *selector) { return respondsTo(self, selector); }

void define(Methods &methods, Methods &class_methods) {
  methods.addFunction<init>("init");
  methods.addFunction<description>("description");
  methods.addFunction<isEqual>("isEqual:");
  methods.addFunction<hash>("hash");
  methods.addFunction<classOfInstance>("class");
  methods.addFunction<isKindOfClass>("isKindOfClass:");
  methods.addFunction<responds>("respondsToSelector:");
  class_methods.addFunction<classItself>("class");
}

}  // namespace

ClassPair Root::objc{"NSObject", nullptr, Storage::Counted, define, nullptr};

}  // namespace softmetal::objc

SOFTMETAL_EXPORT_CLASS(NSObject, softmetal::objc::Root::objc);
