// MTLResidencySet: keeps its buffers alive; memory is always resident here.
#pragma once
#include <vector>

#include "buffer.h"

namespace softmetal::objc {

class ResidencySetDescriptor : public Object {
 public:
  static ClassPair objc;
  ResidencySetDescriptor() : Object(objc) {}
  std::string label() const { return label_; }
  static void define(Methods &methods, Methods &class_methods);

 private:
  void setLabel(std::string label) { label_ = std::move(label); }
  unsigned long initialCapacity() const { return initial_capacity_; }
  void setInitialCapacity(unsigned long capacity) { initial_capacity_ = capacity; }
  std::string label_;
  unsigned long initial_capacity_ = 0;
};

class ResidencySet : public Object {
 public:
  static ClassPair objc;
  ResidencySet(Device &device, std::string label) : Object(objc), device_(&device), label_(std::move(label)) {}
  static void define(Methods &methods, Methods &class_methods);

 private:
  bool contains(Buffer *buffer) const;
  void add(Buffer *buffer);
  void remove(Buffer *buffer);
  void removeAll() { pending_.clear(); }
  // Additions and removals count from here on.
  void commit() { committed_ = pending_; }
  void nothing() {}
  uint64_t allocatedSize() const;
  unsigned long count() const { return pending_.size(); }
  Ref<Device> device() const { return device_; }
  std::string label() const { return label_; }
  Ref<Device> device_;
  std::string label_;
  std::vector<Ref<Buffer>> pending_, committed_;
};

}  // namespace softmetal::objc
