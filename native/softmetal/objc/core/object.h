// Objective-C objects and classes whose methods are C++ functions, as clang's `-fobjc-runtime=gnustep-2.0 -fobjc-arc` expects to find them.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>

namespace softmetal::objc {

class Methods;
class Object;

using Method = void (*)();

// As the compiler lays it out. When an image is loaded, `name` is replaced by a key that is unique for name and signature (selectors.h).
struct Selector {
  const char *name;
  const char *types;
};

// How the instances of a class live.
enum class Storage { Counted, Immortal, Block };

// The first word of every object points to one of these; its own first word points to its metaclass, which has the class methods.
struct Class {
  const Class *isa;
  const char *name;
  const Class *superclass;
  Storage storage;
  void (*define)(Methods &instance_methods, Methods &class_methods);
  void (*destroy)(Object *);
  // Filled when the class gets its first message, and constant from then on.
  mutable std::once_flag once;
  mutable const std::unordered_map<const char *, Method> *methods;

  bool inherits(const Class &ancestor) const;
};

using Define = void (*)(Methods &instance_methods, Methods &class_methods);

// A class and its metaclass.
struct ClassPair {
  Class meta, instance;
  constexpr ClassPair(const char *name, const Class *superclass, Storage storage, Define define, void (*destroy)(Object *))
      : meta{nullptr, name, nullptr, Storage::Immortal, nullptr, nullptr, {}, nullptr},
        instance{&meta, name, superclass, storage, define, destroy, {}, nullptr} {}
  ClassPair(const ClassPair &) = delete;
  ClassPair &operator=(const ClassPair &) = delete;
};

// A reference-counted object. Its memory is kept for a while after its end, so that late messages are reported.
class Object {
 public:
  Object(const Object &) = delete;
  Object &operator=(const Object &) = delete;
  const Class &isa() const { return *isa_; }
  long references() const { return references_; }
  static void *operator new(size_t bytes);
  static void operator delete(void *memory, size_t bytes);

 protected:
  explicit Object(const ClassPair &pair);
  ~Object();

 private:
  friend void *retain(void *);
  friend void release(void *);
  friend void *retainUnlessZero(void *);
  const Class *isa_;
  std::atomic<long> references_{1};
};

// Of any object: short strings are no addresses, constant strings and blocks are no `Object`.
const Class &classOf(const void *object);
bool isKindOf(const void *object, const Class &ancestor);

void *retain(void *object);
void release(void *object);
// nullptr: the object is being destroyed.
void *retainUnlessZero(void *object);
void *autorelease(void *object);

// Reports what cannot go on, with the name of the method that was called, and ends the process.
[[noreturn]] void die(const char *text, ...) __attribute__((format(printf, 1, 2)));

template <class T>
void destroy(Object *object) {
  delete static_cast<T *>(object);
}

// Owns one reference.
template <class T>
class Ref {
 public:
  Ref() = default;
  Ref(T *object) : object_(object) { retain(object_); }
  Ref(const Ref &other) : Ref(other.object_) {}
  Ref(Ref &&other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Ref &operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() { release(object_); }
  T *get() const { return object_; }
  T *operator->() const { return object_; }
  T &operator*() const { return *object_; }
  explicit operator bool() const { return object_ != nullptr; }
  T *detach() { return std::exchange(object_, nullptr); }
  // Takes over a reference that the caller has.
  static Ref adopt(T *object) {
    Ref ref;
    ref.object_ = object;
    return ref;
  }

 private:
  T *object_ = nullptr;
};

template <class T, class... A>
Ref<T> make(A &&...arguments) {
  return Ref<T>::adopt(new T(std::forward<A>(arguments)...));
}

// Objects that are alive, for tests.
long objectsAlive();

}  // namespace softmetal::objc

// Lets Objective-C code name a class: [NAME new].
#define SOFTMETAL_EXPORT_CLASS(NAME, PAIR) \
  extern "C" const softmetal::objc::Class *const softmetal_class_##NAME __asm__("._OBJC_REF_CLASS_" #NAME) = &(PAIR).instance
