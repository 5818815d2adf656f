// NSArray and NSDictionary.
#pragma once
#include <vector>

#include "root.h"

namespace softmetal::objc {

// Of `for (id x in array)`, as the compiler lays it out.
struct EnumerationState {
  unsigned long state;
  void **items;
  unsigned long *mutations;
  unsigned long extra[5];
};

class Array : public Object {
 public:
  static ClassPair objc;
  Array() : Object(objc) {}
  ~Array();
  void add(void *object) { objects_.push_back(retain(object)); }
  const std::vector<void *> &objects() const { return objects_; }
  static void define(Methods &methods, Methods &class_methods);

 private:
  unsigned long count() const { return objects_.size(); }
  void *at(unsigned long index) const;
  void *first() const { return objects_.empty() ? nullptr : objects_.front(); }
  unsigned long enumerate(EnumerationState *state, void **buffer, unsigned long capacity);
  std::vector<void *> objects_;
};

struct Pair {
  void *key, *value;
};

class Dictionary : public Object {
 public:
  static ClassPair objc;
  Dictionary() : Object(objc) {}
  ~Dictionary();
  // Keys are strings.
  void set(void *key, void *value);
  // nullptr: there is none.
  void *find(void *key) const;
  const std::vector<Pair> &pairs() const { return pairs_; }
  static void define(Methods &methods, Methods &class_methods);

 private:
  unsigned long count() const { return pairs_.size(); }
  Ref<Array> keys() const;
  std::vector<Pair> pairs_;
};

}  // namespace softmetal::objc
