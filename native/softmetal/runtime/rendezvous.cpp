// Barriers and simdgroup operations: threads wait until all that have to be there are.
#include <cstring>

#include "threadgroup.h"

namespace softmetal {
namespace {

bool sameSite(const Thread &a, const Thread &b) {
  return a.site.line == b.site.line && a.site.column == b.site.column && a.operation == b.operation && strcmp(a.site.file, b.site.file) == 0;
}

Place placeOf(const msl_site &site) { return {site.file, static_cast<uint32_t>(site.line)}; }

// Sites of one file in the order of its text.
bool before(const msl_site &a, const msl_site &b) { return a.line != b.line ? a.line < b.line : a.column < b.column; }

}  // namespace

void Threadgroup::barrier(msl_barrier_scope scope, unsigned flags, msl_site site) {
  Thread &self = running();
  self.site = site;
  self.operation = MSL_OP_BARRIER;
  self.flags = flags;
  self.deposit_bytes = 0;
  if (scope == MSL_SIMDGROUP_SCOPE) return meet(self);
  if (at_barrier_ == 0) first_at_barrier_ = &self;
  const Thread &other = *first_at_barrier_;  // the others that wait agree with it or have been reported
  if (!sameSite(other, self) && dispatch_.device.faults.first(FaultKind::Barrier, static_cast<uintptr_t>(site.line))) {
    dispatch_.report(FaultKind::Barrier, placeOf(site),
                     format("threads of one threadgroup wait at different barriers, here and in line %d", other.site.line));
  }
  if (++at_barrier_ == live_) {
    if (live_ < threads_.size()) reportIncompleteBarrier(self);
    releaseBarrier(&self);
  } else {
    wait(State::AtBarrier);
  }
}

void Threadgroup::reportIncompleteBarrier(const Thread &thread) {
  if (!dispatch_.device.faults.first(FaultKind::Barrier, static_cast<uintptr_t>(thread.site.line))) return;
  dispatch_.report(FaultKind::Barrier, placeOf(thread.site),
                   format("threadgroup_barrier is reached by %u of %zu threads, the others have returned", live_, threads_.size()));
}

// `self`: the running thread, which goes on without a switch.
void Threadgroup::releaseBarrier(const Thread *self) {
  unsigned flags = self == nullptr ? 0 : self->flags;
  for (Thread &thread : threads_) {
    if (thread.state != State::AtBarrier) continue;
    flags |= thread.flags;
    thread.state = State::Ready;
    ready_.push_back(thread.index);
  }
  at_barrier_ = 0;
  barriers_.advance(flags);
}

const msl_lanes *Threadgroup::exchange(const void *value, uint32_t bytes, msl_operation operation, msl_site site) {
  Thread &self = running();
  self.site = site;
  self.operation = operation;
  self.flags = 0;
  self.deposit_bytes = bytes;
  memcpy(self.deposit, value, bytes);
  meet(self);
  return &simdgroupOf(self).lanes;
}

void Threadgroup::meet(Thread &self) {
  Simdgroup &group = simdgroupOf(self);
  self.state = State::AtSimdgroup;
  if (++group.waiting == group.live && agree(group)) {
    complete(group, ~0u, &self);
    self.state = State::Running;
  } else {
    wait(State::AtSimdgroup);
  }
}

// Whether all lanes that wait do so at the same place.
bool Threadgroup::agree(const Simdgroup &group) const {
  const Thread *first = nullptr;
  for (uint32_t i = group.first; i < group.first + group.size; ++i) {
    const Thread &thread = threads_[i];
    if (thread.state != State::AtSimdgroup) continue;
    if (first == nullptr) first = &thread;
    if (!sameSite(*first, thread)) return false;
  }
  return true;
}

// Lets the waiting lanes of `mask` go on with each other's deposits.
void Threadgroup::complete(Simdgroup &group, uint32_t mask, const Thread *self) {
  unsigned flags = 0;
  bool deposits = false;
  uint32_t taking_part = 0;
  for (uint32_t lane = 0; lane < group.size; ++lane) {
    Thread &thread = threads_[group.first + lane];
    if (thread.state != State::AtSimdgroup || !(mask >> lane & 1)) continue;
    taking_part |= 1u << lane;
    flags |= thread.flags;
    if (thread.deposit_bytes > 0) {
      deposits = true;
      memcpy(group.lanes.deposit[lane], thread.deposit, thread.deposit_bytes);
    }
    --group.waiting;
    if (&thread == self) continue;
    thread.state = State::Ready;
    ready_.push_back(thread.index);
  }
  if (deposits) group.lanes.mask = taking_part;
  group.barriers.advance(flags);
}

// No thread can go on: the lanes of some simdgroup wait at different places. Says so, and lets those at the first place go on alone.
bool Threadgroup::resolveDivergence() {
  for (Simdgroup &group : simdgroups_) {
    if (group.waiting == 0) continue;
    const Thread *first = nullptr;
    for (uint32_t i = group.first; i < group.first + group.size; ++i)
      if (threads_[i].state == State::AtSimdgroup && (first == nullptr || before(threads_[i].site, first->site))) first = &threads_[i];
    uint32_t mask = 0;
    const Thread *elsewhere = nullptr;
    for (uint32_t lane = 0; lane < group.size; ++lane) {
      const Thread &thread = threads_[group.first + lane];
      if (thread.state == State::AtSimdgroup && sameSite(*first, thread))
        mask |= 1u << lane;
      else if (thread.state != State::Done)
        elsewhere = &thread;
    }
    if (elsewhere != nullptr && dispatch_.device.faults.first(FaultKind::Divergence, static_cast<uintptr_t>(first->site.line))) {
      const char *what = elsewhere->state == State::AtBarrier ? "threadgroup_barrier" : "simdgroup operation";
      dispatch_.report(FaultKind::Divergence, placeOf(first->site),
                       format("divergent simdgroup operation: only lanes %08x take part, others wait at the %s of line %d", mask, what,
                              elsewhere->site.line));
    }
    complete(group, mask, nullptr);
    return true;
  }
  return false;
}

void Threadgroup::misuse(const char *what, msl_site site) {
  if (!dispatch_.device.faults.first(FaultKind::Misuse, static_cast<uintptr_t>(site.line), static_cast<uint32_t>(site.column))) return;
  dispatch_.report(FaultKind::Misuse, placeOf(site), format("%s, %s", what, describe(running()).c_str()));
}

}  // namespace softmetal
