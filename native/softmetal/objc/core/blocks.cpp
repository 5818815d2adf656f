#include "blocks.h"

#include <atomic>
#include <cstdlib>
#include <cstring>

#include "methods.h"

// Layouts and flags: "Block Implementation Specification" of clang.
extern "C" {
extern const softmetal::objc::Class _NSConcreteStackBlock, _NSConcreteMallocBlock, _NSConcreteGlobalBlock;
}

namespace softmetal::objc {
namespace {

enum : int { kHasCopyDispose = 1 << 25 };
enum : int { kFieldIsByref = 8, kByrefCaller = 128 };

struct Descriptor {
  unsigned long reserved, bytes;
  void (*copy)(void *, const void *);
  void (*dispose)(const void *);
};

struct Block {
  const Class *isa;
  int flags;
  std::atomic<int> references;
  void (*invoke)(void *);
  Descriptor *descriptor;
};

// A __block variable. `forwarding` leads to the copy on the heap once there is one.
struct Byref {
  void *isa;
  Byref *forwarding;
  std::atomic<int> flags;
  uint32_t bytes;
  void (*keep)(Byref *, Byref *);
  void (*destroy)(Byref *);
};
// Our count of a copy's users lies in bits that the compiler leaves alone.
enum : int { kOnHeap = 1 << 24, kUser = 2, kUsers = 0xfffe };

void *identity(void *self) { return retain(self); }

void define(Methods &methods, Methods &) { methods.addFunction<identity>("copy"); }

Byref *copyByref(Byref *variable) {
  Byref *original = variable->forwarding;
  if (original->flags & kOnHeap) {
    original->flags += kUser;
    return original;
  }
  auto *copy = static_cast<Byref *>(malloc(original->bytes));
  memcpy(static_cast<void *>(copy), original, original->bytes);
  // One user is the stack frame, one is the block.
  copy->flags = (original->flags & ~kUsers) | kOnHeap | 2 * kUser;
  copy->forwarding = original->forwarding = copy;
  if (original->flags & kHasCopyDispose) original->keep(copy, original);
  return copy;
}

void releaseByref(Byref *variable) {
  Byref *copy = variable->forwarding;
  if (!(copy->flags & kOnHeap)) return;
  if (((copy->flags -= kUser) & kUsers) != 0) return;
  if (copy->flags & kHasCopyDispose) copy->destroy(copy);
  free(copy);
}

}  // namespace

void *copyBlock(const void *given) {
  if (given == nullptr) return nullptr;
  auto *block = static_cast<Block *>(const_cast<void *>(given));
  if (block->isa == &_NSConcreteGlobalBlock) return block;
  if (block->isa == &_NSConcreteMallocBlock) {
    ++block->references;
    return block;
  }
  auto *copy = static_cast<Block *>(malloc(block->descriptor->bytes));
  memcpy(static_cast<void *>(copy), block, block->descriptor->bytes);
  copy->isa = &_NSConcreteMallocBlock;
  copy->references = 1;
  if (copy->flags & kHasCopyDispose) copy->descriptor->copy(copy, block);
  return copy;
}

void releaseBlock(const void *given) {
  auto *block = static_cast<Block *>(const_cast<void *>(given));
  if (block == nullptr || block->isa != &_NSConcreteMallocBlock) return;
  if (--block->references > 0) return;
  if (block->flags & kHasCopyDispose) block->descriptor->dispose(block);
  free(block);
}

}  // namespace softmetal::objc

using namespace softmetal::objc;

extern "C" {
// The compiler takes their addresses; the runtime reads them as classes.
const Class _NSConcreteStackBlock{nullptr, "NSStackBlock", nullptr, Storage::Block, define, nullptr, {}, nullptr};
const Class _NSConcreteMallocBlock{nullptr, "NSMallocBlock", nullptr, Storage::Block, define, nullptr, {}, nullptr};
const Class _NSConcreteGlobalBlock{nullptr, "NSGlobalBlock", nullptr, Storage::Block, define, nullptr, {}, nullptr};

void *_Block_copy(const void *block) { return copyBlock(block); }
void _Block_release(const void *block) { releaseBlock(block); }

void _Block_object_assign(void *to, const void *object, int flags) {
  auto **field = static_cast<void **>(to);
  auto *value = const_cast<void *>(object);
  if (flags & kByrefCaller) *field = value;
  else if (flags & kFieldIsByref) *field = copyByref(static_cast<Byref *>(value));
  else *field = retain(value);
}

void _Block_object_dispose(const void *object, int flags) {
  auto *value = const_cast<void *>(object);
  if (flags & kByrefCaller) return;
  if (flags & kFieldIsByref) releaseByref(static_cast<Byref *>(value));
  else release(value);
}
}
