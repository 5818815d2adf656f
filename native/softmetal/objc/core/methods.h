// Registers C++ functions as methods and converts between what they take and what a message carries.
#pragma once
#include <string>
#include <type_traits>

#include "object.h"
#include "selectors.h"

namespace softmetal::objc {

// foundation/string.cpp
std::string text(const void *string);
Object *newString(std::string text);

// What the object answers to `description`.
std::string description(void *object);

bool respondsTo(const void *receiver, const Selector *selector);

// What the message `selector` has as an argument of the C++ type T.
template <class T, class = void>
struct Argument {
  using Raw = T;
  static T from(Raw raw, const Selector *) { return raw; }
};
template <class T>
struct Argument<T *, std::enable_if_t<std::is_base_of_v<Object, T>>> {
  using Raw = void *;
  static T *from(Raw raw, const Selector *selector) {
    if (raw != nullptr && !isKindOf(raw, T::objc.instance)) die("%s: expected a %s, got a %s", selector->name, T::objc.instance.name, classOf(raw).name);
    return static_cast<T *>(raw);
  }
};
template <>
struct Argument<std::string> {
  using Raw = void *;
  static std::string from(Raw raw, const Selector *) { return text(raw); }
};

// What a method gives back; `owned`: the caller gets the reference, as from methods whose names begin with new.
template <class T>
struct Result {
  using Raw = T;
  template <bool owned>
  static Raw from(T value) {
    return value;
  }
};
template <>
struct Result<void> {
  using Raw = void;
};
template <class T>
struct Result<Ref<T>> {
  using Raw = void *;
  template <bool owned>
  static Raw from(Ref<T> value) {
    return owned ? value.detach() : autorelease(value.detach());
  }
};
template <>
struct Result<std::string> {
  using Raw = void *;
  template <bool owned>
  static Raw from(std::string value) {
    return owned ? newString(std::move(value)) : autorelease(newString(std::move(value)));
  }
};

template <class T>
constexpr char machineTypeOf() {
  if constexpr (std::is_void_v<T>) return 'v';
  else if constexpr (std::is_pointer_v<T>) return 'p';
  else if constexpr (std::is_same_v<T, float>) return 'f';
  else if constexpr (std::is_same_v<T, double>) return 'd';
  else if constexpr (std::is_integral_v<T> || std::is_enum_v<T>) return sizeof(T) == 1 ? 'c' : sizeof(T) == 2 ? 's' : sizeof(T) == 4 ? 'i' : 'q';
  else return '{';
}

// The function that a message of one method reaches. `Self`: void for class methods, char where the function takes the object itself.
template <auto F, bool owned, class Self, class R, class... A>
struct Entry {
  using Raw = typename Result<R>::Raw;
  static Raw call(void *self, const Selector *selector, typename Argument<A>::Raw... raw) {
    const auto invoke = [&]() -> R {
      if constexpr (std::is_member_function_pointer_v<decltype(F)>) return (static_cast<Self *>(self)->*F)(Argument<A>::from(raw, selector)...);
      else if constexpr (std::is_void_v<Self>) return F(Argument<A>::from(raw, selector)...);
      else return F(self, Argument<A>::from(raw, selector)...);
    };
    if constexpr (std::is_void_v<R>) invoke();
    else return Result<R>::template from<owned>(invoke());
  }
  static std::string signature() { return {machineTypeOf<Raw>(), machineTypeOf<typename Argument<A>::Raw>()...}; }
};

// The methods of a class while it is defined.
class Methods {
 public:
  // A member function; a function whose first parameter is the object as `void *`; or, for class methods, a function of the arguments alone.
  template <auto F>
  void add(const char *name) {
    addMember<F>(name, F);
  }
  template <auto F>
  void addFunction(const char *name) {
    addFree<F>(name, F);
  }
  template <auto F>
  void addStatic(const char *name) {
    addWithoutSelf<F>(name, F);
  }
  std::unordered_map<const char *, Method> table;

 private:
  template <auto F, class Self, class R, class... A>
  void addMember(const char *name, R (Self::*)(A...)) {
    insert<F, Self, R, A...>(name);
  }
  template <auto F, class Self, class R, class... A>
  void addMember(const char *name, R (Self::*)(A...) const) {
    insert<F, const Self, R, A...>(name);
  }
  template <auto F, class R, class... A>
  void addFree(const char *name, R (*)(void *, A...)) {
    insert<F, char, R, A...>(name);
  }
  template <auto F, class R, class... A>
  void addWithoutSelf(const char *name, R (*)(A...)) {
    insert<F, void, R, A...>(name);
  }
  template <auto F, class Self, class R, class... A>
  void insert(const char *name) {
    const Method method = givesOwnership(name) ? reinterpret_cast<Method>(&Entry<F, true, Self, R, A...>::call)
                                               : reinterpret_cast<Method>(&Entry<F, false, Self, R, A...>::call);
    table[selectorKey(name, Entry<F, false, Self, R, A...>::signature())] = method;
    table[selectorKey(name, "")] = method;  // for selectors without types: @selector(...), enumeration
  }
  // ARC's method families.
  static bool givesOwnership(const std::string &name);
};

}  // namespace softmetal::objc
