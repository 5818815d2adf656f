// The N-API side of the Metal host. packages/backend-metal/src/addon.ts declares the same interface.
#pragma once
#include <napi.h>

#include <condition_variable>
#include <mutex>

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

  const std::shared_ptr<GpuDevice> device;
  DeviceMemory memory;
  const bool labelled;  // launches are named by their steps

 private:
  Settler settler_;
  std::mutex mutex_;
  std::condition_variable idle_;
  size_t running_ = 0;
  bool stopped_ = false;
};

// A JavaScript Error with the failure's text, and what else is known of it as properties: { kind, step, code, values }.
Napi::Error error_of(Napi::Env env, const Failure& failure);
Napi::Value fail(Napi::Env env, const Failure& failure);

void init_device(Napi::Env env, Napi::Object exports);
void init_executable(Napi::Env env);
// load(name, words, functions, libraries, labels, bound)
Napi::Value load_program(const std::shared_ptr<Core>& core, const Napi::CallbackInfo& info);
#ifdef SOFTMETAL
void init_software(Napi::Env env, Napi::Object exports);
#endif

}  // namespace rlx::metal
