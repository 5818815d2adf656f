// Runs the threads of one threadgroup at a time: each thread is a fiber that runs until it has to wait for others.
#pragma once
#include <cstdint>
#include <optional>
#include <random>
#include <vector>

#include "dispatch.h"
#include "fiber.h"
#include "shadow.h"
#include "threadgroup_memory.h"

namespace softmetal {

enum class State { Unstarted, Ready, Running, AtBarrier, AtSimdgroup, Done };

// Barriers so far, by the memory that they order.
struct Phases {
  uint32_t device = 0, threadgroup = 0;
  void advance(unsigned flags);
};

struct Simdgroup {
  uint32_t first, size;      // its threads
  uint32_t live, waiting;    // that have not ended; that wait for the others
  Phases barriers;
  msl_lanes lanes;           // what the lanes gave to the last operation
};

struct Thread {
  msl_context context;
  State state;
  Fiber *fiber;
  uint32_t index;
  // While it waits: where, for what, with what.
  msl_site site;
  msl_operation operation;
  unsigned flags;
  uint32_t deposit_bytes;
  alignas(16) char deposit[MSL_DEPOSIT_BYTES];

  uint32_t lane() const { return index % MSL_LANES; }
};

class Threadgroup {
 public:
  Threadgroup(Dispatch &dispatch, FiberPool &fibers, uint64_t seed);
  // The one that the calling thread of the CPU runs, if any.
  static Threadgroup *current();

  // False: a fault ended it.
  bool run(msl_uint3 position);

  // Called by kernels, on their fibers.
  void barrier(msl_barrier_scope scope, unsigned flags, msl_site site);
  const msl_lanes *exchange(const void *value, uint32_t bytes, msl_operation operation, msl_site site);
  void *variable(int id, const char *function, size_t bytes, size_t alignment);
  uint32_t lane() const { return running().lane(); }
  void misuse(const char *what, msl_site site);
  // An instrumented access; `atomic` ones race with plain ones only.
  void access(const void *address, size_t bytes, bool write, bool atomic, const void *code);

  // An access whose type needs another alignment than the address has.
  void misaligned(uintptr_t address, uintptr_t alignment, const Place &place);

  // Whether the kernels tell about their accesses.
  bool checked() const { return dispatch_.pipeline.library->checked(); }
  // Whether a kernel's thread runs now, and not the scheduler.
  bool inKernel() const { return running_ != nullptr; }
  // A signal that the kernel has raised: its thread never goes on, the threadgroup ends.
  [[noreturn]] void trap(int signal, const void *address, const void *code);

 private:
  struct Trap {
    int signal;
    const void *address, *code;
  };

  void prepare(msl_uint3 position);
  void fillContext(Thread &thread, msl_uint3 position, msl_uint3 size, msl_uint3 at);
  Thread &running() const { return *running_; }
  Simdgroup &simdgroupOf(const Thread &thread) { return simdgroups_[thread.index / MSL_LANES]; }

  // Scheduling (threadgroup.cpp).
  static void fiberMain();
  void runThreads();
  Fiber *next();
  Thread *takeReady();
  void enter(Fiber &fiber);
  void wait(State state);
  [[noreturn]] void stop();
  void finish(Thread &thread);
  void abandon();

  // Rendezvous (rendezvous.cpp).
  void meet(Thread &thread);
  bool agree(const Simdgroup &group) const;
  void complete(Simdgroup &group, uint32_t mask, const Thread *self);
  void releaseBarrier(const Thread *self);
  bool resolveDivergence();
  void reportIncompleteBarrier(const Thread &thread);

  // Checks (access.cpp).
  void checkRace(ByteHistory *bytes, size_t count, const Access &now, bool write, bool device, const void *code);
  bool isRuntimeMemory(const void *address) const;
  void reportTrap(const Trap &trap);
  void reportAccess(FaultKind kind, const void *code, const std::string &message);

  Dispatch &dispatch_;
  FiberPool &fibers_;
  std::mt19937_64 random_;
  ThreadgroupMemory memory_;
  void *buffers_[MSL_BINDINGS];
  void *threadgroups_[MSL_BINDINGS];
  std::vector<Thread> threads_;
  std::vector<Simdgroup> simdgroups_;
  std::vector<uint32_t> start_order_;
  std::vector<uint32_t> ready_;
  size_t unstarted_ = 0, ready_head_ = 0;
  uint32_t live_ = 0, at_barrier_ = 0, number_ = 0, groups_run_ = 0;
  Phases barriers_;
  Thread *running_ = nullptr;
  const Thread *first_at_barrier_ = nullptr;  // of those that wait; meaningful while at_barrier_ > 0
  Fiber *fiber_ = nullptr;
  StackPointer scheduler_ = nullptr;
  bool stopped_ = false;
  std::optional<Trap> trap_;
};

// "thread (3,0,0) of threadgroup (1,0,0)"
std::string describe(const Thread &thread);

}  // namespace softmetal
