#include "threadgroup.h"

#include <algorithm>
#include <cstdlib>

namespace softmetal {

namespace {
thread_local Threadgroup *current_threadgroup = nullptr;

uint32_t volume(msl_uint3 size) { return size.x * size.y * size.z; }
}  // namespace

std::string describe(const Thread &thread) {
  const msl_uint3 t = thread.context.thread_position_in_threadgroup, g = thread.context.threadgroup_position_in_grid;
  return format("thread (%u,%u,%u) of threadgroup (%u,%u,%u)", t.x, t.y, t.z, g.x, g.y, g.z);
}

void Phases::advance(unsigned flags) {
  if (flags & MSL_MEM_DEVICE) ++device;
  if (flags & MSL_MEM_THREADGROUP) ++threadgroup;
}

Threadgroup::Threadgroup(Dispatch &dispatch, FiberPool &fibers, uint64_t seed)
    : dispatch_(dispatch), fibers_(fibers), random_(seed), memory_(dispatch.pipeline.library->checked()) {
  for (size_t i = 0; i < MSL_BINDINGS; ++i) buffers_[i] = dispatch.bindings[i].data();
}

Threadgroup *Threadgroup::current() { return current_threadgroup; }

void Threadgroup::fillContext(Thread &thread, msl_uint3 position, msl_uint3 size, msl_uint3 at) {
  const msl_uint3 full = dispatch_.threads_per_threadgroup;
  const uint32_t index = thread.index, count = volume(size);
  msl_context &c = thread.context;
  c.thread_position_in_grid = {position.x * full.x + at.x, position.y * full.y + at.y, position.z * full.z + at.z};
  c.thread_position_in_threadgroup = at;
  c.threadgroup_position_in_grid = position;
  c.threads_per_threadgroup = size;
  c.threads_per_grid = dispatch_.threads();
  c.threadgroups_per_grid = dispatch_.threadgroups();
  c.thread_index_in_threadgroup = index;
  c.thread_index_in_simdgroup = thread.lane();
  c.simdgroup_index_in_threadgroup = index / MSL_LANES;
  c.threads_per_simdgroup = MSL_LANES;
  c.simdgroups_per_threadgroup = (count + MSL_LANES - 1) / MSL_LANES;
  c.thread_index_in_quadgroup = index % 4;
  c.quadgroup_index_in_threadgroup = index / 4;
  c.quadgroups_per_threadgroup = (count + 3) / 4;
  c.buffers = buffers_;
  c.threadgroups = threadgroups_;
}

void Threadgroup::prepare(msl_uint3 position) {
  const msl_uint3 size = dispatch_.threadsAt(position), groups = dispatch_.threadgroups();
  const uint32_t count = volume(size);
  number_ = position.x + groups.x * (position.y + groups.y * position.z);
  ++groups_run_;
  memory_.reset();
  for (size_t i = 0; i < MSL_BINDINGS; ++i) {
    const uint32_t bytes = dispatch_.threadgroup_bytes[i];
    threadgroups_[i] = bytes == 0 ? nullptr : memory_.allocate(bytes, 16);
  }
  threads_.resize(count);
  uint32_t index = 0;
  for (uint32_t z = 0; z < size.z; ++z)
    for (uint32_t y = 0; y < size.y; ++y)
      for (uint32_t x = 0; x < size.x; ++x, ++index) {
        Thread &thread = threads_[index];
        thread.state = State::Unstarted;
        thread.fiber = nullptr;
        thread.index = index;
        fillContext(thread, position, size, {x, y, z});
      }
  simdgroups_.resize((count + MSL_LANES - 1) / MSL_LANES);
  for (uint32_t i = 0; i < simdgroups_.size(); ++i) {
    Simdgroup &group = simdgroups_[i];
    group.first = i * MSL_LANES;
    group.size = group.live = std::min<uint32_t>(MSL_LANES, count - group.first);
    group.waiting = 0;
    group.barriers = {};
  }
  start_order_.resize(count);
  for (uint32_t i = 0; i < count; ++i) start_order_[i] = i;
  if (dispatch_.device.options.order == Order::Reverse) std::reverse(start_order_.begin(), start_order_.end());
  if (dispatch_.device.options.order == Order::Random) std::shuffle(start_order_.begin(), start_order_.end(), random_);
  ready_.clear();
  unstarted_ = ready_head_ = 0;
  live_ = count;
  at_barrier_ = 0;
  barriers_ = {};
}

bool Threadgroup::run(msl_uint3 position) {
  if (!memory_.valid()) {
    dispatch_.report(FaultKind::Limit, {}, "no memory for threadgroup memory");
    return false;
  }
  prepare(position);
  current_threadgroup = this;
  while (live_ > 0 && !stopped_) {
    Fiber *fiber = next();
    if (fiber != nullptr) {
      enter(*fiber);
      if (trap_) reportTrap(*trap_);
    } else if (!stopped_ && !resolveDivergence()) {
      dispatch_.report(FaultKind::Barrier, {}, "all threads wait for each other");
      stopped_ = true;
    }
  }
  if (stopped_) abandon();
  current_threadgroup = nullptr;
  if (memory_.used() > ThreadgroupMemory::kLimit && dispatch_.device.faults.first(FaultKind::Limit, 0))
    dispatch_.report(FaultKind::Limit, {}, format("%zu bytes of threadgroup memory, allowed are %zu", memory_.used(), ThreadgroupMemory::kLimit));
  return !stopped_;
}

// A fiber with something to run: a fresh one while threads have not started, else that of a thread that can go on.
Fiber *Threadgroup::next() {
  if (unstarted_ < start_order_.size()) {
    Fiber *fiber = fibers_.take();
    if (fiber == nullptr) {
      dispatch_.report(FaultKind::Limit, {}, "no memory for another thread's stack");
      stopped_ = true;
      return nullptr;
    }
    fiber->restart(&Threadgroup::fiberMain);
    return fiber;
  }
  Thread *thread = takeReady();
  if (thread == nullptr) return nullptr;
  thread->state = State::Running;
  running_ = thread;
  return thread->fiber;
}

Thread *Threadgroup::takeReady() {
  if (ready_head_ == ready_.size()) {
    ready_.clear();
    ready_head_ = 0;
    return nullptr;
  }
  size_t pick = ready_head_;
  if (dispatch_.device.options.order == Order::Reverse) pick = ready_.size() - 1;
  if (dispatch_.device.options.order == Order::Random) pick += random_() % (ready_.size() - ready_head_);
  const uint32_t index = ready_[pick];
  if (dispatch_.device.options.order == Order::Reverse)
    ready_.pop_back();
  else
    ready_[pick] = ready_[ready_head_++];
  return &threads_[index];
}

void Threadgroup::enter(Fiber &fiber) {
  fiber_ = &fiber;
  softmetal_switch(&scheduler_, fiber.stack);
  running_ = nullptr;
}

void Threadgroup::fiberMain() {
  current_threadgroup->runThreads();
  abort();  // runThreads never returns: there is nothing to return to
}

// One fiber runs threads as long as they end without waiting: those cost a call, not a switch.
void Threadgroup::runThreads() {
  while (unstarted_ < start_order_.size()) {
    Thread &thread = threads_[start_order_[unstarted_++]];
    thread.fiber = fiber_;
    thread.state = State::Running;
    running_ = &thread;
    dispatch_.pipeline.kernel->run(&thread.context);
    finish(thread);
    running_ = nullptr;
    // After a wait the other threads have all started, so this fiber ran its last one.
  }
  fibers_.give(fiber_);
  softmetal_switch(&fiber_->stack, scheduler_);
}

void Threadgroup::wait(State state) {
  Thread &self = running();
  self.state = state;
  softmetal_switch(&self.fiber->stack, scheduler_);
}

void Threadgroup::stop() {
  stopped_ = true;
  StackPointer unused = nullptr;
  softmetal_switch(&unused, scheduler_);
  abort();  // nobody switches back
}

void Threadgroup::trap(int signal, const void *address, const void *code) {
  trap_ = Trap{signal, address, code};
  stop();
}

void Threadgroup::finish(Thread &thread) {
  thread.state = State::Done;
  --live_;
  Simdgroup &group = simdgroupOf(thread);
  --group.live;
  if (group.waiting > 0 && group.waiting == group.live && agree(group)) complete(group, ~0u, nullptr);
  if (live_ > 0 && at_barrier_ == live_) {
    reportIncompleteBarrier(*first_at_barrier_);
    releaseBarrier(nullptr);
  }
}

// Threads that wait will never go on; their stacks are used again.
void Threadgroup::abandon() {
  running_ = nullptr;
  for (Thread &thread : threads_)
    if (thread.state != State::Unstarted && thread.state != State::Done) fibers_.give(thread.fiber);
}

}  // namespace softmetal
