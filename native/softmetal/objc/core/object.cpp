#include "object.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <new>

#include "blocks.h"
#include "strings.h"
#include "weak.h"

namespace softmetal::objc {
namespace {

std::atomic<long> alive{0};

// The memory of ended objects, until this many more have ended.
constexpr size_t kRemembered = 4096;
struct Ended {
  void *memory;
  size_t bytes;
};
struct Quarantine {
  std::mutex mutex;
  std::deque<Ended> ended;
};
Quarantine &quarantine() {
  static auto &all = *new Quarantine;  // outlives every static object
  return all;
}

// What stands in the place of an ended object's class: the same name, and nothing to call.
const Class &endedClass(const Class &original) {
  static auto &all = *new std::unordered_map<const Class *, Class *>;
  static auto &mutex = *new std::mutex;
  std::lock_guard lock(mutex);
  Class *&ended = all[&original];
  if (ended == nullptr) ended = new Class{nullptr, original.name, nullptr, Storage::Counted, nullptr, nullptr, {}, nullptr};
  return *ended;
}

bool isEnded(const Class &isa) { return isa.storage == Storage::Counted && isa.isa == nullptr; }

}  // namespace

bool Class::inherits(const Class &ancestor) const {
  for (const Class *c = this; c != nullptr; c = c->superclass)
    if (c == &ancestor) return true;
  return false;
}

Object::Object(const ClassPair &pair) : isa_(&pair.instance) { ++alive; }

Object::~Object() {
  --alive;
  isa_ = &endedClass(*isa_);
}

void *Object::operator new(size_t bytes) { return ::operator new(bytes); }

void Object::operator delete(void *memory, size_t bytes) {
  Quarantine &all = quarantine();
  std::lock_guard lock(all.mutex);
  all.ended.push_back({memory, bytes});
  if (all.ended.size() <= kRemembered) return;
  ::operator delete(all.ended.front().memory, all.ended.front().bytes);
  all.ended.pop_front();
}

const Class &classOf(const void *object) {
  if (isShortString(object)) return shortStringClass();
  return **static_cast<const Class *const *>(object);
}

bool isKindOf(const void *object, const Class &ancestor) { return object != nullptr && classOf(object).inherits(ancestor); }

void *retain(void *object) {
  if (object == nullptr) return nullptr;
  const Class &isa = classOf(object);
  if (isa.storage == Storage::Immortal) return object;
  if (isa.storage == Storage::Block) return copyBlock(object);
  if (isEnded(isa)) die("retain of a deallocated %s", isa.name);
  ++static_cast<Object *>(object)->references_;
  return object;
}

void *retainUnlessZero(void *object) {
  if (object == nullptr || classOf(object).storage != Storage::Counted) return retain(object);
  std::atomic<long> &references = static_cast<Object *>(object)->references_;
  for (long count = references; count > 0;)
    if (references.compare_exchange_weak(count, count + 1)) return object;
  return nullptr;
}

void release(void *object) {
  if (object == nullptr) return;
  const Class &isa = classOf(object);
  if (isa.storage == Storage::Immortal) return;
  if (isa.storage == Storage::Block) return releaseBlock(object);
  if (isEnded(isa)) die("release of a deallocated %s", isa.name);
  if (--static_cast<Object *>(object)->references_ > 0) return;
  clearWeakReferences(object);
  isa.destroy(static_cast<Object *>(object));
}

void die(const char *text, ...) {
  fputs("software Metal: ", stderr);
  va_list arguments;
  va_start(arguments, text);
  vfprintf(stderr, text, arguments);
  va_end(arguments);
  fputc('\n', stderr);
  abort();
}

long objectsAlive() { return alive; }

}  // namespace softmetal::objc
