// What an opened device owns: the kernel table, the pool, and the thread that drives asynchronous runs.
#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "../program/pool.h"
#include "addon.h"
#include "settler.h"

namespace rlx {

// One asynchronous run; made, settled and deleted on the JavaScript thread.
struct Run {
  std::function<void()> work;    // on the driver thread
  std::function<void()> cancel;  // on any thread: ends `work` soon
  Settler::Task settle;
};

class Core {
 public:
  Core(const rlx_kernel_table* table, size_t threads) : table(table), pool(threads) {}
  ~Core() { stop(); }
  // Cancel what is under way or queued, and end the driver thread.
  void stop();
  void submit(Napi::Env env, std::unique_ptr<Run> run);

  const rlx_kernel_table* const table;
  rlx_pool pool;
  // Held by whoever runs a program: the pool serves one run at a time.
  std::mutex running;

 private:
  void drive();

  Settler settler_;
  bool started_ = false;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::unique_ptr<Run>> queue_;
  std::function<void()> cancel_;  // of the run under way
  bool stopping_ = false;
  std::thread driver_;
};

}  // namespace rlx
