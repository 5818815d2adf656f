// The N-API side of the Metal host. packages/backend-metal/src/addon.ts declares the same interface.
#pragma once
#include <napi.h>

#include <atomic>
#include <condition_variable>
#include <list>
#include <mutex>
#include <thread>

#include "../../addon/settler.h"
#include "../../addon/values.h"
#include "../replay.h"

namespace rlx::metal {

// An opened device and the runs that are under way on it.
class Core {
 public:
  Core(std::shared_ptr<GpuDevice> device, size_t max_mapped, bool labelled)
      : device(std::move(device)), memory(this->device, max_mapped), labelled(labelled) {}
  ~Core() { stop(); }
  // Wait for what is under way; nothing begins any more.
  void stop();
  bool stopped() const { return stopped_; }
  // On the JavaScript thread: an asynchronous run begins.
  void begin(Napi::Env env);
  // On any thread: it has ended, and `task` tells JavaScript so.
  void end(Settler::Task task);
  // On the JavaScript thread: `work` begins on a thread of its own, and ends with the task that it gives.
  void apart(Napi::Env env, std::function<Settler::Task()> work);

  const std::shared_ptr<GpuDevice> device;
  DeviceMemory memory;
  const bool labelled;  // launches are named by their steps

 private:
  struct Thread {
    std::thread thread;
    std::atomic<bool> over{false};
  };

  Settler settler_;
  std::list<Thread> threads_;  // on the JavaScript thread
  std::mutex mutex_;
  std::condition_variable idle_;
  size_t running_ = 0;
  bool stopped_ = false;
};

// What a program takes of the device's compiler.
class Compilation {
 public:
  // On the JavaScript thread, from the arguments (words, functions, libraries) that begin at `first`. False: see `failure`.
  bool read(const Napi::CallbackInfo& info, size_t first);
  // On any thread, waiting for the compiler. False: see `failure`. What was compiled is there again while this object lives.
  bool run(GpuDevice& device);

  Program program;
  Replay::Pipelines pipelines;
  Failure failure;

 private:
  struct Library {
    std::string label, source;
    std::shared_ptr<GpuLibrary> compiled;
    Failure failure;
    bool ok = false;
  };
  bool compile(GpuDevice& device, size_t index);

  std::vector<Library> libraries_;
};

std::vector<std::string> strings_of(const Napi::Value& list);

// A JavaScript Error with the failure's text, and what else is known of it as properties: { kind, step, code, values }.
Napi::Error error_of(Napi::Env env, const Failure& failure);
Napi::Value fail(Napi::Env env, const Failure& failure);

void init_device(Napi::Env env, Napi::Object exports);
void init_executable(Napi::Env env);
// prepare(words, functions, libraries): a promise of a function that lets go of what was compiled.
Napi::Value prepare_program(const std::shared_ptr<Core>& core, const Napi::CallbackInfo& info);
// load(name, words, functions, libraries, labels, bound)
Napi::Value load_program(const std::shared_ptr<Core>& core, const Napi::CallbackInfo& info);
#ifdef SOFTMETAL
void init_software(Napi::Env env, Napi::Object exports);
#endif

}  // namespace rlx::metal
