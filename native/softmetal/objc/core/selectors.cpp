#include "selectors.h"

#include <cstring>
#include <unordered_set>

namespace softmetal::objc {
namespace {

// Behind one type of an encoding.
const char *skipType(const char *at) {
  if (*at == '^') return skipType(at + 1);
  if (*at == '{' || *at == '(' || *at == '[') {
    int depth = 0;
    do {
      if (*at == '{' || *at == '(' || *at == '[') ++depth;
      if (*at == '}' || *at == ')' || *at == ']') --depth;
      ++at;
    } while (depth > 0 && *at != 0);
    return at;
  }
  if (at[0] == '@' && at[1] == '?') return at + 2;
  return at + 1;
}

char machineType(char code) {
  switch (code) {
    case 'B': case 'C': case 'c': return 'c';
    case 'S': case 's': return 's';
    case 'I': case 'i': return 'i';
    case 'L': case 'l': case 'Q': case 'q': return 'q';
    case 'v': case 'f': case 'd': case '{': return code;
    default: return 'p';
  }
}

}  // namespace

std::string signatureOf(const char *encoding) {
  std::string all;
  for (const char *at = encoding; at != nullptr && *at != 0;) {
    if (strchr("rnNoORVA", *at) != nullptr) {
      ++at;
      continue;
    }
    all += machineType(*at);
    at = skipType(at);
    while (*at >= '0' && *at <= '9') ++at;
  }
  return all.size() < 3 ? all : all.substr(0, 1) + all.substr(3);
}

const char *selectorKey(const std::string &name, const std::string &signature) {
  static auto &keys = *new std::unordered_set<std::string>;
  static auto &mutex = *new std::mutex;
  std::lock_guard lock(mutex);
  return keys.insert(name + '\0' + signature).first->c_str();
}

std::string signatureOfKey(const char *key) { return key + strlen(key) + 1; }

}  // namespace softmetal::objc
