// Names of methods together with the machine types of their arguments, so that a call and a method that disagree never meet.
#pragma once
#include <string>

#include "object.h"

namespace softmetal::objc {

// One character per result or argument, in this order: v(oid), p(ointer), integers by size c s i q, f(loat), d(ouble), { for a struct.
// From the compiler's encoding such as "v40@0:8@16Q24Q32"; receiver and selector are left out.
std::string signatureOf(const char *encoding);

// The key: the name, and behind its end the signature. Equal keys have equal addresses.
const char *selectorKey(const std::string &name, const std::string &signature);
std::string signatureOfKey(const char *key);

}  // namespace softmetal::objc
