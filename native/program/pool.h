// The thread pool behind rlx_parallel: owned by an engine, used by one run at a time.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "../cpu/kernel.h"

struct rlx_pool {
 public:
  // `threads` counts the thread that calls run(); 1: no workers, everything runs inline.
  explicit rlx_pool(size_t threads);
  ~rlx_pool();
  rlx_pool(const rlx_pool&) = delete;
  rlx_pool& operator=(const rlx_pool&) = delete;

  void run(size_t count, rlx_task task, void* context);
  size_t threads() const { return workers_.size() + 1; }

  // The flag that stops the current run between tasks; NULL: the run cannot be stopped.
  void watch(const std::atomic<bool>* cancelled) { cancelled_.store(cancelled, std::memory_order_release); }

 private:
  void work();
  // Take and run one task of the current job; false: none is left.
  bool step();
  void batch(uint32_t count, size_t base, rlx_task task, void* context);

  // Job number in the high half, tasks that nobody has taken yet in the low half: one compare-and-swap takes a task, and a
  // worker that comes late can never take a task of a job that it has not seen.
  std::atomic<uint64_t> ticket_{0};
  std::atomic<uint32_t> done_{0};
  // Written before the ticket of a job is published, and not again before all its tasks are done.
  rlx_task task_ = nullptr;
  void* context_ = nullptr;
  size_t base_ = 0;
  std::atomic<const std::atomic<bool>*> cancelled_{nullptr};

  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<int> parked_{0};
  bool stop_ = false;
  std::vector<std::thread> workers_;
};
