// The two kinds of strings that the compiler makes. (foundation/string.cpp has the class and what it can do.)
#pragma once
#include <cstdint>

#include "object.h"

namespace softmetal::objc {

// @"up to 8" characters of ASCII are no objects: the characters and their number lie in the pointer, above a tag of 3 bits.
inline bool isShortString(const void *object) { return (reinterpret_cast<uintptr_t>(object) & 7) == 4; }
const Class &shortStringClass();

struct ConstantString {
  const Class *isa;
  uint32_t flags, length, bytes, hash;
  const char *data;
};

}  // namespace softmetal::objc
