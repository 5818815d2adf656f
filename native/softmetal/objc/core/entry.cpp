// What code compiled with ARC calls, and what an image with Objective-C code calls when it is loaded.
#include <unwind.h>

#include <vector>

#include "blocks.h"
#include "methods.h"
#include "misuse.h"

namespace softmetal::objc {
namespace {

// The objects of all pools of a thread, the innermost last. Objects need no destructors at the end of a thread: without a pool they are reported.
struct Pools {
  std::vector<void *> objects;
  size_t depth = 0;
};
Pools &pools() {
  thread_local Pools all;
  return all;
}

// What the compiler puts together for an image. Newer fields follow.
struct Image {
  uint64_t version;
  Selector *selectors, *selectors_end;
  void **classes, **classes_end;
};

}  // namespace

void *autorelease(void *object) {
  if (object == nullptr || classOf(object).storage == Storage::Immortal) return object;
  Pools &all = pools();
  if (all.depth == 0) reportMisuse(std::string("an autoreleased ") + classOf(object).name + " leaks: this thread has no @autoreleasepool");
  else all.objects.push_back(object);
  return object;
}

}  // namespace softmetal::objc

using namespace softmetal::objc;

extern "C" {

void *objc_retain(void *object) { return retain(object); }
void objc_release(void *object) { release(object); }
void *objc_autorelease(void *object) { return autorelease(object); }
void *objc_retainAutorelease(void *object) { return autorelease(retain(object)); }
void *objc_autoreleaseReturnValue(void *object) { return autorelease(object); }
void *objc_retainAutoreleaseReturnValue(void *object) { return autorelease(retain(object)); }
void *objc_retainAutoreleasedReturnValue(void *object) { return retain(object); }
void *objc_unsafeClaimAutoreleasedReturnValue(void *object) { return object; }
void *objc_retainBlock(void *block) { return copyBlock(block); }

void objc_storeStrong(void **variable, void *value) {
  void *earlier = *variable;
  *variable = retain(value);
  release(earlier);
}

void *objc_autoreleasePoolPush() {
  Pools &all = pools();
  ++all.depth;
  return reinterpret_cast<void *>(all.objects.size() + 1);
}

void objc_autoreleasePoolPop(void *pool) {
  Pools &all = pools();
  const size_t size = reinterpret_cast<size_t>(pool) - 1;
  while (all.objects.size() > size) {
    void *object = all.objects.back();
    all.objects.pop_back();
    release(object);
  }
  --all.depth;
}

void __objc_load(Image *image) {
  for (Selector *selector = image->selectors; selector < image->selectors_end; ++selector)
    if (selector->name != nullptr) selector->name = selectorKey(selector->name, signatureOf(selector->types));
  for (void **c = image->classes; c < image->classes_end; ++c)
    if (*c != nullptr) die("an @implementation: host code may use classes, not define any");
}

[[noreturn]] void objc_enumerationMutation(void *collection) { die("a %s changed while it was enumerated", classOf(collection).name); }

// C++ destructors run when exceptions pass through Objective-C++ code; nothing here throws Objective-C objects.
_Unwind_Reason_Code __gxx_personality_v0(int, _Unwind_Action, _Unwind_Exception_Class, _Unwind_Exception *, _Unwind_Context *);
_Unwind_Reason_Code __gnustep_objcxx_personality_v0(int version, _Unwind_Action actions, _Unwind_Exception_Class kind, _Unwind_Exception *exception,
                                                    _Unwind_Context *context) {
  return __gxx_personality_v0(version, actions, kind, exception, context);
}
}
