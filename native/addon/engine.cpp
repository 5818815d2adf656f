#include "engine.h"

#include <algorithm>
#include <cstring>

#include "../cpu/isa.h"
#include "../program/bandwidth.h"

namespace rlx {

void Core::stop() {
  if (!started_) return;
  started_ = false;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
    if (cancel_) cancel_();
    for (const auto& run : queue_) run->cancel();
  }
  wake_.notify_all();
  driver_.join();
  settler_.close();
}

void Core::submit(Napi::Env env, std::unique_ptr<Run> run) {
  if (!started_) driver_ = std::thread([this] { drive(); });
  started_ = true;
  settler_.expect(env);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    queue_.push_back(std::move(run));
  }
  wake_.notify_one();
}

void Core::drive() {
  for (;;) {
    std::unique_ptr<Run> run;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      run = std::move(queue_.front());
      queue_.pop_front();
      cancel_ = run->cancel;
    }
    run->work();
    {
      std::lock_guard<std::mutex> lock(mutex_);
      cancel_ = nullptr;
    }
    settler_.settle(std::move(run->settle));
  }
}

namespace {

class Engine : public Napi::ObjectWrap<Engine> {
 public:
  // new Engine(threads, isa): `isa` names a supported table, "" the best one.
  explicit Engine(const Napi::CallbackInfo& info) : ObjectWrap(info) {
    const auto threads = info[0].ToNumber().Uint32Value();
    const auto isa = info[1].ToString().Utf8Value();
    for (const rlx_kernel_table* t : supported_tables())
      if (isa.empty() || isa == t->isa) {
        core_ = std::make_shared<Core>(t, threads);
        napi_add_env_cleanup_hook(info.Env(), shut_down, core_.get());
        return;
      }
    fail(info.Env(), "this machine has no instruction set \"" + isa + "\"");
  }
  ~Engine() override { close_core(Env()); }

  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Engine",
                       {InstanceAccessor<&Engine::isa>("isa"), InstanceMethod<&Engine::load>("load"), InstanceMethod<&Engine::pack>("pack"), InstanceMethod<&Engine::pack_sync>("packSync"),
                        InstanceMethod<&Engine::bandwidth>("measureBandwidth"), InstanceMethod<&Engine::close>("close")});
  }

 private:
  static void shut_down(void* core) { static_cast<Core*>(core)->stop(); }
  void close_core(Napi::Env env) {
    if (!core_) return;
    napi_remove_env_cleanup_hook(env, shut_down, core_.get());
    core_->stop();
    core_.reset();
  }
  Napi::Value isa(const Napi::CallbackInfo& info) { return Napi::String::New(info.Env(), core_ ? core_->table->isa : ""); }
  Napi::Value load(const Napi::CallbackInfo& info) {
    return core_ ? new_executable(info.Env(), core_, info) : fail(info.Env(), "the engine is closed");
  }
  Napi::Value close(const Napi::CallbackInfo& info) {
    close_core(info.Env());
    return info.Env().Undefined();
  }
  // One weight to pack.
  struct Packing {
    const rlx_packer_entry* packer = nullptr;
    int32_t dtype;
    int64_t n, k;
    Span source;
    std::shared_ptr<Memory> target;

    void run(Core& core) const {
      std::lock_guard<std::mutex> lock(core.running);
      packer->pack(dtype, source.data, n, k, target->data(), &core.pool);
    }
  };
  // (layout, dtype, n, k, bytes) of a call; without a packer, an exception is pending.
  Packing packing(const Napi::CallbackInfo& info) {
    Packing p;
    const auto layout = info[0].ToString().Utf8Value();
    p.dtype = info[1].ToNumber().Int32Value();
    p.n = info[2].ToNumber().Int64Value();
    p.k = info[3].ToNumber().Int64Value();
    p.source = bytes_of(info[4]);
    if (!core_) return fail(info.Env(), "the engine is closed"), p;
    const auto* end = core_->table->packers + core_->table->n_packers;
    const auto* packer = std::find_if(core_->table->packers, end, [&](const rlx_packer_entry& e) { return layout == e.layout; });
    if (packer == end) return fail(info.Env(), "no packer for layout \"" + layout + "\""), p;
    if (p.dtype < RLX_F32 || p.dtype > RLX_Q6_K || p.n < 0 || p.k < 0 ||
        p.source.bytes != dtype_bytes(p.dtype, static_cast<size_t>(p.n * p.k)))
      return fail(info.Env(), "the weight's bytes do not match its shape"), p;
    const size_t bytes = packer->bytes(p.dtype, p.n, p.k);
    p.target = Memory::allocate(bytes);
    if (bytes == 0 || !p.target) return fail(info.Env(), "cannot pack dtype " + std::to_string(p.dtype) + " into \"" + layout + "\""), p;
    p.packer = packer;
    return p;
  }
  // packSync(layout, dtype, n, k, bytes): the packed bytes of a row-major weight [n, k].
  Napi::Value pack_sync(const Napi::CallbackInfo& info) {
    const Packing p = packing(info);
    if (!p.packer) return info.Env().Undefined();
    p.run(*core_);
    return view_of(info.Env(), p.target, 0, p.target->size());
  }
  // pack(...): a promise of the same, made after the runs that were asked for before.
  Napi::Value pack(const Napi::CallbackInfo& info) {
    const Packing p = packing(info);
    if (!p.packer) return info.Env().Undefined();
    auto deferred = std::make_shared<Napi::Promise::Deferred>(Napi::Promise::Deferred::New(info.Env()));
    auto source = std::make_shared<Napi::ObjectReference>(Napi::Persistent(info[4].As<Napi::Object>()));
    auto task = std::make_unique<Run>();
    task->work = [core = core_.get(), p, held = Memory::find(p.source.data)] { p.run(*core); };
    task->cancel = [] {};
    task->settle = [core = core_, deferred, source, p](Napi::Env env) {
      const Napi::HandleScope scope(env);
      deferred->Resolve(view_of(env, p.target, 0, p.target->size()));
    };
    core_->submit(info.Env(), std::move(task));
    return deferred->Promise();
  }
  // measureBandwidth(bytes): bytes per second.
  Napi::Value bandwidth(const Napi::CallbackInfo& info) {
    if (!core_) return fail(info.Env(), "the engine is closed");
    std::lock_guard<std::mutex> lock(core_->running);
    return Napi::Number::New(info.Env(), measure_bandwidth(core_->pool, static_cast<size_t>(info[0].ToNumber().DoubleValue())));
  }

  std::shared_ptr<Core> core_;
};

}  // namespace

void init_engine(Napi::Env env, Napi::Object exports) { exports["Engine"] = Engine::define(env); }

}  // namespace rlx
