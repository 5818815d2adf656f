#include "pool.h"

#include <algorithm>

namespace {

// Set while this thread runs a task: a kernel that asks for parallelism inside a task gets it inline.
thread_local bool inside_task = false;

// Pauses before a worker parks: some tens of microseconds, about the gap between two steps of a run.
constexpr int SPINS = 2000;
constexpr uint64_t TASKS = 0xffffffffu;

inline void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

rlx_pool::rlx_pool(size_t threads) {
  for (size_t i = 1; i < threads; i++) workers_.emplace_back([this] { work(); });
}

rlx_pool::~rlx_pool() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (auto& t : workers_) t.join();
}

bool rlx_pool::step() {
  uint64_t t = ticket_.load(std::memory_order_acquire);
  do {
    if ((t & TASKS) == 0) return false;
  } while (!ticket_.compare_exchange_weak(t, t - 1, std::memory_order_acq_rel, std::memory_order_acquire));
  // This task is ours and not done: the job's fields stay as they are until it is.
  const std::atomic<bool>* cancelled = cancelled_.load(std::memory_order_acquire);
  if (!cancelled || !cancelled->load(std::memory_order_relaxed)) {
    inside_task = true;
    task_(context_, base_ + (t & TASKS) - 1);
    inside_task = false;
  }
  done_.fetch_add(1, std::memory_order_release);
  return true;
}

void rlx_pool::work() {
  for (;;) {
    int idle = 0;
    while (idle < SPINS) {
      if (step()) idle = 0;
      else pause_cpu(), idle++;
    }
    std::unique_lock<std::mutex> lock(mutex_);
    parked_.fetch_add(1);
    wake_.wait(lock, [this] { return stop_ || (ticket_.load() & TASKS) != 0; });
    parked_.fetch_sub(1);
    if (stop_) return;
  }
}

void rlx_pool::batch(uint32_t count, size_t base, rlx_task task, void* context) {
  task_ = task;
  context_ = context;
  base_ = base;
  done_.store(0, std::memory_order_relaxed);
  const uint64_t job = (ticket_.load(std::memory_order_relaxed) >> 32) + 1;
  ticket_.store(job << 32 | count);
  if (parked_.load() > 0) {
    std::lock_guard<std::mutex> lock(mutex_);
    wake_.notify_all();
  }
  // The caller does whatever no worker has taken, so a worker whose core is busy costs at most the one task it holds.
  while (step()) {
  }
  for (int spins = 0; done_.load(std::memory_order_acquire) != count; spins++) {
    if (spins < SPINS) pause_cpu();
    else std::this_thread::yield();
  }
}

void rlx_pool::run(size_t count, rlx_task task, void* context) {
  if (workers_.empty() || count < 2 || inside_task) {
    const std::atomic<bool>* cancelled = cancelled_.load(std::memory_order_acquire);
    for (size_t i = 0; i < count && !(cancelled && cancelled->load(std::memory_order_relaxed)); i++) task(context, i);
    return;
  }
  for (size_t base = 0; base < count; base += TASKS)
    batch(static_cast<uint32_t>(std::min<size_t>(count - base, TASKS)), base, task, context);
}

void rlx_parallel(rlx_pool* pool, size_t count, rlx_task task, void* context) { pool->run(count, task, context); }
size_t rlx_threads(const rlx_pool* pool) { return pool->threads(); }
