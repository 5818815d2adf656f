#include "residency.h"

#include <algorithm>

#include "../core/misuse.h"

namespace softmetal::objc {
namespace {
Ref<ResidencySetDescriptor> newDescriptor() { return make<ResidencySetDescriptor>(); }
}  // namespace

ClassPair ResidencySetDescriptor::objc{"MTLResidencySetDescriptor", rootClass(), Storage::Counted, &ResidencySetDescriptor::define,
                                       destroy<ResidencySetDescriptor>};
ClassPair ResidencySet::objc{"MTLResidencySet", rootClass(), Storage::Counted, &ResidencySet::define, destroy<ResidencySet>};

void ResidencySetDescriptor::define(Methods &methods, Methods &class_methods) {
  class_methods.addStatic<newDescriptor>("new");
  class_methods.addStatic<newDescriptor>("alloc");
  methods.add<&ResidencySetDescriptor::label>("label");
  methods.add<&ResidencySetDescriptor::setLabel>("setLabel:");
  methods.add<&ResidencySetDescriptor::initialCapacity>("initialCapacity");
  methods.add<&ResidencySetDescriptor::setInitialCapacity>("setInitialCapacity:");
}

bool ResidencySet::contains(Buffer *buffer) const {
  return std::any_of(pending_.begin(), pending_.end(), [&](const Ref<Buffer> &each) { return each.get() == buffer; });
}

void ResidencySet::add(Buffer *buffer) {
  if (buffer == nullptr) return reportMisuse("addAllocation: the allocation is nil");
  if (!contains(buffer)) pending_.emplace_back(buffer);
}

void ResidencySet::remove(Buffer *buffer) {
  pending_.erase(std::remove_if(pending_.begin(), pending_.end(), [&](const Ref<Buffer> &each) { return each.get() == buffer; }), pending_.end());
}

uint64_t ResidencySet::allocatedSize() const {
  uint64_t bytes = 0;
  for (const Ref<Buffer> &each : committed_) bytes += each->length();
  return bytes;
}

void ResidencySet::define(Methods &methods, Methods &) {
  methods.add<&ResidencySet::add>("addAllocation:");
  methods.add<&ResidencySet::remove>("removeAllocation:");
  methods.add<&ResidencySet::removeAll>("removeAllAllocations");
  methods.add<&ResidencySet::contains>("containsAllocation:");
  methods.add<&ResidencySet::commit>("commit");
  methods.add<&ResidencySet::nothing>("requestResidency");
  methods.add<&ResidencySet::nothing>("endResidency");
  methods.add<&ResidencySet::allocatedSize>("allocatedSize");
  methods.add<&ResidencySet::count>("allocationCount");
  methods.add<&ResidencySet::device>("device");
  methods.add<&ResidencySet::label>("label");
}

}  // namespace softmetal::objc

SOFTMETAL_EXPORT_CLASS(MTLResidencySetDescriptor, softmetal::objc::ResidencySetDescriptor::objc);
