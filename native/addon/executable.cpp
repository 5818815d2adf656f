#include "engine.h"

namespace rlx {
namespace {

// What a run needs from JavaScript and from our own memory while it is under way.
struct Held {
  std::vector<std::shared_ptr<Memory>> blocks;
  void block(const Span& s) {
    if (auto b = s.data ? Memory::find(s.data) : nullptr) blocks.push_back(std::move(b));
  }
};

// Shared by the JavaScript object and its runs.
struct Loaded {
  Loaded(ProgramDesc program, std::vector<Span> bound) : executor(std::move(program), std::move(bound)) {}
  Executor executor;
  std::vector<std::shared_ptr<Memory>> weights;
  std::atomic<bool> cancelled{false};
  bool busy = false;  // on the JavaScript thread
};

struct Outcome {
  bool ok = false;
  Failure failure;
  std::vector<double> micros;
};

class Executable : public Napi::ObjectWrap<Executable> {
 public:
  explicit Executable(const Napi::CallbackInfo& info) : ObjectWrap(info) {}
  ~Executable() override { release(Env()); }

  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Executable",
                       {InstanceMethod<&Executable::run>("run"), InstanceMethod<&Executable::run_sync>("runSync"),
                        InstanceMethod<&Executable::cancel>("cancel"), InstanceMethod<&Executable::memory>("memory"),
                        InstanceMethod<&Executable::close>("close")});
  }

  void adopt(Napi::Env env, std::shared_ptr<Core> core, std::shared_ptr<Loaded> loaded, const Napi::Value& bound) {
    core_ = std::move(core);
    loaded_ = std::move(loaded);
    bound_ = Napi::Persistent(bound.As<Napi::Object>());
    Napi::MemoryManagement::AdjustExternalMemory(env, static_cast<int64_t>(loaded_->executor.arena_bytes()));
  }

 private:
  void release(Napi::Env env) {
    if (!loaded_) return;
    loaded_->cancelled.store(true);
    Napi::MemoryManagement::AdjustExternalMemory(env, -static_cast<int64_t>(loaded_->executor.arena_bytes()));
    bound_.Reset();
    loaded_.reset();
    core_.reset();
  }
  Napi::Value close(const Napi::CallbackInfo& info) {
    release(info.Env());
    return info.Env().Undefined();
  }
  Napi::Value cancel(const Napi::CallbackInfo& info) {
    if (loaded_) loaded_->cancelled.store(true);
    return info.Env().Undefined();
  }
  // memory(buffer): the bytes of an arena buffer, or of an input or output that is staged.
  Napi::Value memory(const Napi::CallbackInfo& info) {
    if (!loaded_) return fail(info.Env(), "the executable is closed");
    const Span s = loaded_->executor.buffer(info[0].ToNumber().Uint32Value());
    const auto block = s.data ? Memory::find(s.data) : nullptr;
    if (!block) return Napi::Uint8Array::New(info.Env(), 0);
    return view_of(info.Env(), block, static_cast<size_t>(s.data - block->data()), s.bytes);
  }

  // { extents, inputs, outputs, states, stage } | undefined: as bound before. With `stage`, inputs and outputs go through memory of
  // the executor; asynchronous runs copy inputs from JavaScript always, so that nothing that happens to the arrays meanwhile matters.
  bool bind(const Napi::Value& value, bool copy_inputs, Held& held, Failure& failure) {
    if (!value.IsObject()) return true;
    const auto call = value.As<Napi::Object>();
    std::vector<double> extents;
    const Span e = bytes_of(call.Get("extents"));
    const auto* numbers = reinterpret_cast<const double*>(e.data);
    extents.assign(numbers, numbers + e.bytes / sizeof(double));
    const auto inputs = spans_of(call.Get("inputs")), outputs = spans_of(call.Get("outputs")), states = spans_of(call.Get("states"));
    for (const auto& s : inputs) held.block(s);
    for (const auto& s : outputs) held.block(s);
    for (const auto& s : states) held.block(s);
    const bool stage = call.Get("stage").ToBoolean();
    return loaded_->executor.bind(extents, inputs, outputs, states, {stage || copy_inputs, stage}, failure);
  }

  // Steps [from, to) on this or the driver thread; the last segment delivers the outputs.
  static void execute(Core& core, Loaded& loaded, size_t from, size_t to, Outcome& out) {
    std::lock_guard<std::mutex> lock(core.running);
    out.ok = loaded.executor.run(core.pool, from, to, loaded.cancelled, out.micros.empty() ? nullptr : out.micros.data(), out.failure);
    if (out.ok && to == loaded.executor.steps()) loaded.executor.deliver();
  }

  // undefined: done. { step, text }: failed; an empty text: cancelled.
  static Napi::Value report(Napi::Env env, const Outcome& out, const Napi::Value& trace) {
    const Span target = bytes_of(trace);
    if (target.data)
      std::copy_n(out.micros.begin(), std::min(out.micros.size(), target.bytes / sizeof(double)), reinterpret_cast<double*>(target.data));
    if (out.ok) return env.Undefined();
    Napi::Object o = Napi::Object::New(env);
    o["step"] = Napi::Number::New(env, static_cast<double>(out.failure.step));
    o["text"] = Napi::String::New(env, out.failure.text);
    return o;
  }

  // run(call | undefined, from, to, trace | undefined)
  bool begin(const Napi::CallbackInfo& info, bool async, size_t& from, size_t& to, Held& held, Outcome& out) {
    if (!loaded_ || loaded_->busy) {
      fail(info.Env(), loaded_ ? "a run is under way" : "the executable is closed");
      return false;
    }
    from = info[1].ToNumber().Uint32Value();
    to = std::min<size_t>(info[2].ToNumber().Uint32Value(), loaded_->executor.steps());
    loaded_->cancelled.store(false);
    if (info[3].IsTypedArray()) out.micros.resize(loaded_->executor.steps());
    return bind(info[0], async, held, out.failure);
  }

  Napi::Value run_sync(const Napi::CallbackInfo& info) {
    size_t from, to;
    Held held;
    Outcome out;
    if (begin(info, false, from, to, held, out)) execute(*core_, *loaded_, from, to, out);
    return info.Env().IsExceptionPending() ? info.Env().Undefined() : report(info.Env(), out, info[3]);
  }

  Napi::Value run(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    size_t from, to;
    auto held = std::make_shared<Held>();
    auto out = std::make_shared<Outcome>();
    const bool bound = begin(info, true, from, to, *held, *out);
    if (env.IsExceptionPending()) return env.Undefined();
    auto deferred = std::make_shared<Napi::Promise::Deferred>(Napi::Promise::Deferred::New(env));
    if (!bound) {
      deferred->Resolve(report(env, *out, info[3]));
      return deferred->Promise();
    }
    // The arrays of the call stay referenced until the run has ended.
    Napi::Array keep = Napi::Array::New(env, 3);
    keep[0u] = info[0];
    keep[1u] = info[3];
    keep[2u] = info.This();
    auto kept = std::make_shared<Napi::ObjectReference>(Napi::Persistent(static_cast<Napi::Object>(keep)));
    loaded_->busy = true;
    auto task = std::make_unique<Run>();
    task->work = [core = core_.get(), loaded = loaded_, from, to, out] { execute(*core, *loaded, from, to, *out); };
    task->cancel = [loaded = loaded_] { loaded->cancelled.store(true); };
    task->settle = [core = core_, loaded = loaded_, deferred, out, held, kept](Napi::Env e) {
      const Napi::HandleScope scope(e);
      loaded->busy = false;
      deferred->Resolve(report(e, *out, kept->Value().Get(1u)));
    };
    core_->submit(env, std::move(task));
    return deferred->Promise();
  }

  std::shared_ptr<Core> core_;
  std::shared_ptr<Loaded> loaded_;
  Napi::ObjectReference bound_;
};

}  // namespace

// load(words, kernels, blobs, bound)
Napi::Value new_executable(Napi::Env env, const std::shared_ptr<Core>& core, const Napi::CallbackInfo& info) {
  const Span words = bytes_of(info[0]);
  std::vector<std::string> kernels;
  const auto names = info[1].As<Napi::Array>();
  for (uint32_t i = 0; i < names.Length(); i++) kernels.push_back(names.Get(i).ToString().Utf8Value());
  std::vector<BlobView> blobs;
  for (const Span& s : spans_of(info[2])) blobs.push_back({s.data, s.bytes});
  ProgramDesc program;
  std::string error;
  if (!decode_program(reinterpret_cast<const double*>(words.data), words.bytes / sizeof(double), kernels, blobs, *core->table, program, error))
    return fail(env, error);
  const auto bound = spans_of(info[3]);
  auto loaded = std::make_shared<Loaded>(std::move(program), bound);
  for (const Span& s : bound)
    if (auto block = s.data ? Memory::find(s.data) : nullptr) loaded->weights.push_back(std::move(block));
  if (!loaded->executor.init(error)) return fail(env, error);
  const Napi::Object object = env.GetInstanceData<Napi::FunctionReference>()->New({});
  Executable::Unwrap(object)->adopt(env, core, std::move(loaded), info[3]);
  return object;
}

void init_executable(Napi::Env env) {
  auto constructor = std::make_unique<Napi::FunctionReference>(Napi::Persistent(Executable::define(env)));
  env.SetInstanceData(constructor.release());
}

}  // namespace rlx
