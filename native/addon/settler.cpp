#include "settler.h"

#include <memory>

namespace rlx {

void Settler::expect(Napi::Env env) {
  if (!open_) {
    queue_ = Queue::New(env, "rlxjs run", 0, 1, this);
    queue_.Unref(env);
    open_ = true;
  }
  if (pending_++ == 0) queue_.Ref(env);
}

void Settler::settle(Task task) {
  // An environment that is closing takes nothing any more. References of JavaScript can only be dropped on its own thread, so the task is
  // left to it rather than deleted here.
  queue_.BlockingCall(std::make_unique<Task>(std::move(task)).release());
}

void Settler::close() {
  if (open_) queue_.Release();
  open_ = false;
}

namespace {

// Not in a worker that is being terminated: there every call into JavaScript fails.
bool can_run(Napi::Env env) {
  napi_value global, found;
  return napi_get_global(env, &global) == napi_ok && napi_get_named_property(env, global, "Object", &found) == napi_ok;
}

}  // namespace

void Settler::call(Napi::Env env, Napi::Function, Settler* settler, Task* raw) {
  const std::unique_ptr<Task> task(raw);
  if (static_cast<napi_env>(env) == nullptr || !can_run(env)) return;
  if (--settler->pending_ == 0) settler->queue_.Unref(env);
  (*task)(env);
}

}  // namespace rlx
