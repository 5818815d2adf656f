// Brings what other threads have finished to the JavaScript thread of an environment.
#pragma once
#include <napi.h>

#include <functional>

namespace rlx {

class Settler {
 public:
  // Runs on the JavaScript thread, and keeps the owner of this object alive until then.
  using Task = std::function<void(Napi::Env)>;

  // On the JavaScript thread: one more `settle` will come. The process stays alive until then.
  void expect(Napi::Env env);
  // On any thread.
  void settle(Task task);
  // When nothing comes any more. Tasks that wait for their turn still get it.
  void close();

 private:
  static void call(Napi::Env env, Napi::Function, Settler* settler, Task* task);
  using Queue = Napi::TypedThreadSafeFunction<Settler, Task, call>;

  Queue queue_;
  bool open_ = false;
  size_t pending_ = 0;
};

}  // namespace rlx
