#include "weak.h"

#include <atomic>
#include <mutex>
#include <unordered_map>

#include "object.h"

using softmetal::objc::autorelease;
using softmetal::objc::retainUnlessZero;

namespace {

struct Table {
  std::mutex mutex;
  std::unordered_multimap<void *, void **> variables;  // by object
  std::atomic<size_t> count{0};
};
Table &table() {
  static auto &all = *new Table;
  return all;
}

void forget(Table &all, void **variable) {
  const auto [first, last] = all.variables.equal_range(*variable);
  for (auto at = first; at != last; ++at) {
    if (at->second != variable) continue;
    all.variables.erase(at);
    --all.count;
    return;
  }
}

void remember(Table &all, void **variable, void *object) {
  *variable = object;
  if (object == nullptr) return;
  all.variables.emplace(object, variable);
  ++all.count;
}

}  // namespace

void softmetal::objc::clearWeakReferences(void *object) {
  Table &all = table();
  if (all.count == 0) return;
  std::lock_guard lock(all.mutex);
  const auto [first, last] = all.variables.equal_range(object);
  for (auto at = first; at != last; ++at) {
    *at->second = nullptr;
    --all.count;
  }
  all.variables.erase(first, last);
}

extern "C" {

void *objc_initWeak(void **variable, void *object) {
  Table &all = table();
  std::lock_guard lock(all.mutex);
  remember(all, variable, object);
  return object;
}

void *objc_storeWeak(void **variable, void *object) {
  Table &all = table();
  std::lock_guard lock(all.mutex);
  forget(all, variable);
  remember(all, variable, object);
  return object;
}

void *objc_loadWeakRetained(void **variable) {
  std::lock_guard lock(table().mutex);
  return retainUnlessZero(*variable);
}

void *objc_loadWeak(void **variable) { return autorelease(objc_loadWeakRetained(variable)); }

void objc_destroyWeak(void **variable) {
  Table &all = table();
  std::lock_guard lock(all.mutex);
  forget(all, variable);
}

void objc_copyWeak(void **to, void **from) {
  Table &all = table();
  std::lock_guard lock(all.mutex);
  remember(all, to, *from);
}

void objc_moveWeak(void **to, void **from) {
  Table &all = table();
  std::lock_guard lock(all.mutex);
  forget(all, from);
  remember(all, to, *from);
}
}
