#include "collections.h"

#include "string.h"

namespace softmetal::objc {
namespace {

Ref<Array> arrayOf(void *const *objects, unsigned long count) {
  auto array = make<Array>();
  for (unsigned long i = 0; i < count; ++i) array->add(objects[i]);
  return array;
}

Ref<Dictionary> dictionaryOf(void *const *values, void *const *keys, unsigned long count) {
  auto dictionary = make<Dictionary>();
  for (unsigned long i = 0; i < count; ++i) dictionary->set(keys[i], values[i]);
  return dictionary;
}

}  // namespace

ClassPair Array::objc{"NSArray", rootClass(), Storage::Counted, &Array::define, destroy<Array>};
ClassPair Dictionary::objc{"NSDictionary", rootClass(), Storage::Counted, &Dictionary::define, destroy<Dictionary>};

Array::~Array() {
  for (void *object : objects_) release(object);
}

void *Array::at(unsigned long index) const {
  if (index >= objects_.size()) die("NSArray: index %lu of %zu objects", index, objects_.size());
  return objects_[index];
}

unsigned long Array::enumerate(EnumerationState *state, void **, unsigned long) {
  static unsigned long never = 0;  // arrays do not change
  if (state->state != 0) return 0;
  state->state = 1;
  state->items = objects_.data();
  state->mutations = &never;
  return objects_.size();
}

void Array::define(Methods &methods, Methods &class_methods) {
  methods.add<&Array::count>("count");
  methods.add<&Array::at>("objectAtIndex:");
  methods.add<&Array::at>("objectAtIndexedSubscript:");
  methods.add<&Array::first>("firstObject");
  methods.add<&Array::enumerate>("countByEnumeratingWithState:objects:count:");
  class_methods.addStatic<arrayOf>("arrayWithObjects:count:");
}

Dictionary::~Dictionary() {
  for (const Pair &pair : pairs_) {
    release(pair.key);
    release(pair.value);
  }
}

void Dictionary::set(void *key, void *value) {
  retain(value);
  for (Pair &pair : pairs_) {
    if (text(pair.key) != text(key)) continue;
    release(std::exchange(pair.value, value));
    return;
  }
  pairs_.push_back({retain(key), value});
}

void *Dictionary::find(void *key) const {
  for (const Pair &pair : pairs_)
    if (text(pair.key) == text(key)) return pair.value;
  return nullptr;
}

Ref<Array> Dictionary::keys() const {
  auto all = make<Array>();
  for (const Pair &pair : pairs_) all->add(pair.key);
  return all;
}

void Dictionary::define(Methods &methods, Methods &class_methods) {
  methods.add<&Dictionary::count>("count");
  methods.add<&Dictionary::find>("objectForKey:");
  methods.add<&Dictionary::find>("objectForKeyedSubscript:");
  methods.add<&Dictionary::keys>("allKeys");
  class_methods.addStatic<dictionaryOf>("dictionaryWithObjects:forKeys:count:");
}

}  // namespace softmetal::objc

SOFTMETAL_EXPORT_CLASS(NSArray, softmetal::objc::Array::objc);
SOFTMETAL_EXPORT_CLASS(NSDictionary, softmetal::objc::Dictionary::objc);
