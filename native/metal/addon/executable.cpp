#include <algorithm>

#include "addon.h"

namespace rlx::metal {
namespace {

// Shared by the JavaScript object and its runs.
struct Loaded {
  Loaded(const Core& core, std::string name, Program program, std::vector<std::string> labels)
      : replay(core.device, std::move(name), std::move(program), std::move(labels), core.labelled) {}
  Replay replay;
  bool busy = false;  // on the JavaScript thread
};

class Executable : public Napi::ObjectWrap<Executable> {
 public:
  explicit Executable(const Napi::CallbackInfo& info) : ObjectWrap(info) {}
  ~Executable() override { release(Env()); }

  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Executable",
                       {InstanceMethod<&Executable::run>("run"), InstanceMethod<&Executable::run_sync>("runSync"),
                        InstanceMethod<&Executable::counts>("counts"), InstanceMethod<&Executable::close>("close")});
  }

  void adopt(Napi::Env env, std::shared_ptr<Core> core, std::shared_ptr<Loaded> loaded) {
    core_ = std::move(core);
    loaded_ = std::move(loaded);
    Napi::MemoryManagement::AdjustExternalMemory(env, static_cast<int64_t>(loaded_->replay.arena_bytes()));
  }

 private:
  void release(Napi::Env env) {
    if (!loaded_) return;
    Napi::MemoryManagement::AdjustExternalMemory(env, -static_cast<int64_t>(loaded_->replay.arena_bytes()));
    loaded_.reset();
    core_.reset();
  }
  Napi::Value close(const Napi::CallbackInfo& info) {
    release(info.Env());
    return info.Env().Undefined();
  }

  bool begin(Napi::Env env) {
    const char* why = !loaded_ ? "the executable is closed" : core_->stopped() ? "the device is closed" : loaded_->busy ? "a run is under way" : nullptr;
    if (why) rlx::fail(env, why);
    else loaded_->busy = true;
    return why == nullptr;
  }

  // { extents, inputs, outputs, states, trace }
  static Call call_of(const Napi::Value& value) {
    const auto object = value.As<Napi::Object>();
    Call call;
    const Span extents = bytes_of(object.Get("extents"));
    const auto* numbers = reinterpret_cast<const double*>(extents.data);
    call.extents.assign(numbers, numbers + extents.bytes / sizeof(double));
    call.inputs = spans_of(object.Get("inputs"));
    call.outputs = spans_of(object.Get("outputs"));
    call.states = spans_of(object.Get("states"));
    call.trace = object.Get("trace").IsTypedArray();
    return call;
  }

  // Time of the GPU in microseconds; the steps' own go to the call's `trace`.
  static Napi::Value report(Napi::Env env, const Outcome& outcome, const Napi::Value& call) {
    const Span trace = bytes_of(call.As<Napi::Object>().Get("trace"));
    if (trace.data)
      std::copy_n(outcome.step_micros.begin(), std::min(outcome.step_micros.size(), trace.bytes / sizeof(double)), reinterpret_cast<double*>(trace.data));
    return Napi::Number::New(env, outcome.gpu_micros);
  }

  // runSync(call)
  Napi::Value run_sync(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    if (!begin(env)) return env.Undefined();
    std::mutex mutex;
    std::condition_variable ended;
    bool over = false;
    Outcome outcome;
    loaded_->replay.start(call_of(info[0]), core_->memory, [&](const Outcome& result) {
      const std::lock_guard<std::mutex> lock(mutex);
      outcome = result;
      over = true;
      ended.notify_all();
    });
    std::unique_lock<std::mutex> lock(mutex);
    ended.wait(lock, [&] { return over; });
    loaded_->busy = false;
    return outcome.ok ? report(env, outcome, info[0]) : fail(env, outcome.failure);
  }

  // run(call): a promise of the same. What the call holds stays as it is until then.
  Napi::Value run(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    if (!begin(env)) return env.Undefined();
    const auto deferred = std::make_shared<Napi::Promise::Deferred>(Napi::Promise::Deferred::New(env));
    Napi::Array keep = Napi::Array::New(env, 2);
    keep[0u] = info[0];
    keep[1u] = info.This();
    auto kept = std::make_shared<Napi::ObjectReference>(Napi::Persistent(static_cast<Napi::Object>(keep)));
    core_->begin(env);
    loaded_->replay.start(call_of(info[0]), core_->memory, [core = core_, loaded = loaded_, deferred, kept](const Outcome& outcome) mutable {
      Settler::Task settle = [core, loaded = std::move(loaded), deferred = std::move(deferred), kept = std::move(kept), outcome](Napi::Env e) {
        const Napi::HandleScope scope(e);
        loaded->busy = false;
        if (outcome.ok) deferred->Resolve(report(e, outcome, kept->Value().Get(0u)));
        else deferred->Reject(error_of(e, outcome.failure).Value());
      };
      core->end(std::move(settle));
    });
    return deferred->Promise();
  }

  // { commandBuffers, waits, launches, barriers, copiedBytes }
  Napi::Value counts(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    if (!loaded_) return rlx::fail(env, "the executable is closed");
    const Counts& counts = loaded_->replay.counts();
    Napi::Object out = Napi::Object::New(env);
    out["commandBuffers"] = Napi::Number::New(env, counts.command_buffers);
    out["waits"] = Napi::Number::New(env, counts.waits);
    out["launches"] = Napi::Number::New(env, counts.launches);
    out["barriers"] = Napi::Number::New(env, counts.barriers);
    out["copiedBytes"] = Napi::Number::New(env, counts.copied_bytes);
    return out;
  }

  std::shared_ptr<Core> core_;
  std::shared_ptr<Loaded> loaded_;
};

}  // namespace

Napi::Value load_program(const std::shared_ptr<Core>& core, const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Compilation compilation;
  if (!compilation.read(info, 1)) return fail(env, compilation.failure);
  auto labels = strings_of(info[4]);
  if (labels.size() != compilation.program.steps) return rlx::fail(env, "expected one label per step");
  if (!compilation.run(*core->device)) return fail(env, compilation.failure);
  auto loaded = std::make_shared<Loaded>(*core, info[0].ToString().Utf8Value(), std::move(compilation.program), std::move(labels));
  Failure failure;
  if (!loaded->replay.init(std::move(compilation.pipelines), spans_of(info[5]), core->memory, failure)) return fail(env, failure);
  const Napi::Object object = env.GetInstanceData<Napi::FunctionReference>()->New({});
  Executable::Unwrap(object)->adopt(env, core, std::move(loaded));
  // A device that nobody holds any more closes.
  object.Set("device", info.This());
  return object;
}

void init_executable(Napi::Env env) {
  auto constructor = std::make_unique<Napi::FunctionReference>(Napi::Persistent(Executable::define(env)));
  env.SetInstanceData(constructor.release());
}

}  // namespace rlx::metal
