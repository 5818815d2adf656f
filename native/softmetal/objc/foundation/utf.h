// Unicode characters as UTF-8 and UTF-16.
#pragma once
#include <cstdint>
#include <string>

namespace softmetal::objc {

inline void appendUtf8(std::string &out, uint32_t point) {
  if (point < 0x80) {
    out += static_cast<char>(point);
    return;
  }
  const int more = point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
  constexpr unsigned char first[] = {0, 0xc0, 0xe0, 0xf0};
  out += static_cast<char>(first[more] | point >> 6 * more);
  for (int i = more - 1; i >= 0; --i) out += static_cast<char>(0x80 | (point >> 6 * i & 0x3f));
}

constexpr bool isHighSurrogate(uint32_t unit) { return unit >= 0xd800 && unit < 0xdc00; }
constexpr uint32_t fromSurrogates(uint32_t high, uint32_t low) { return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00); }

}  // namespace softmetal::objc
