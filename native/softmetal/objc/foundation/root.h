// NSObject: what every object answers.
#pragma once
#include "../core/methods.h"

namespace softmetal::objc {

class Root : public Object {
 public:
  static ClassPair objc;
};

// The superclass of classes that have no other one.
constexpr const Class *rootClass() { return &Root::objc.instance; }

}  // namespace softmetal::objc
