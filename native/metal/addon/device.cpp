#include "addon.h"

#include <algorithm>

namespace rlx::metal {

void Core::stop() {
  std::unique_lock<std::mutex> lock(mutex_);
  idle_.wait(lock, [this] { return running_ == 0; });
  settler_.close();
  stopped_ = true;
  for (Thread& t : threads_) t.thread.join();
  threads_.clear();
}

void Core::begin(Napi::Env env) {
  settler_.expect(env);
  const std::lock_guard<std::mutex> lock(mutex_);
  running_++;
}

void Core::end(Settler::Task task) {
  settler_.settle(std::move(task));
  const std::lock_guard<std::mutex> lock(mutex_);
  running_--;
  idle_.notify_all();
}

void Core::apart(Napi::Env env, std::function<Settler::Task()> work) {
  begin(env);
  threads_.remove_if([](Thread& t) {
    if (t.over) t.thread.join();
    return !t.thread.joinable();
  });
  Thread& t = threads_.emplace_back();
  t.thread = std::thread([this, &t, work = std::move(work)] {
    GpuDevice::pool([&] { end(work()); });
    t.over = true;
  });
}

namespace {

class Device : public Napi::ObjectWrap<Device> {
 public:
  // new Device(maxMappedBytes, labels): at most so many bytes of a mapped file lie in one buffer; 0: as many as the device can.
  explicit Device(const Napi::CallbackInfo& info) : ObjectWrap(info) {
    std::string error;
    const auto device = GpuDevice::open(error);
    if (!device) {
      rlx::fail(info.Env(), error);
      return;
    }
    const auto asked = static_cast<size_t>(info[0].ToNumber().DoubleValue());
    const size_t most = device->limits().max_buffer_bytes;
    core_ = std::make_shared<Core>(device, asked > 0 ? std::min(asked, most) : most, info[1].ToBoolean());
    napi_add_env_cleanup_hook(info.Env(), shut_down, core_.get());
  }
  ~Device() override { close_core(Env()); }

  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Device",
                       {InstanceMethod<&Device::describe>("describe"), InstanceMethod<&Device::allocate>("allocate"),
                        InstanceMethod<&Device::holds>("holds"), InstanceMethod<&Device::prepare>("prepare"),
                        InstanceMethod<&Device::load>("load"), InstanceMethod<&Device::close>("close")});
  }

 private:
  static void shut_down(void* core) { static_cast<Core*>(core)->stop(); }
  void close_core(Napi::Env env) {
    if (!core_) return;
    napi_remove_env_cleanup_hook(env, shut_down, core_.get());
    core_->stop();
    core_.reset();
  }
  bool closed(Napi::Env env) const {
    if (!core_) rlx::fail(env, "the device is closed");
    return !core_;
  }

  // { name, maxBufferBytes, maxThreadgroupBytes, workingSetBytes }
  Napi::Value describe(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    if (closed(env)) return env.Undefined();
    const GpuLimits limits = core_->device->limits();
    Napi::Object out = Napi::Object::New(env);
    out["name"] = Napi::String::New(env, core_->device->name());
    out["maxBufferBytes"] = Napi::Number::New(env, static_cast<double>(limits.max_buffer_bytes));
    out["maxThreadgroupBytes"] = Napi::Number::New(env, static_cast<double>(limits.max_threadgroup_bytes));
    out["workingSetBytes"] = Napi::Number::New(env, static_cast<double>(limits.working_set_bytes));
    return out;
  }

  // allocate(bytes)
  Napi::Value allocate(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    if (closed(env)) return env.Undefined();
    const auto bytes = static_cast<size_t>(info[0].ToNumber().DoubleValue());
    if (const auto block = core_->memory.allocate(bytes)) return view_of(env, block, 0, bytes);
    Failure failure;
    failure.no_memory(bytes, "a buffer");
    return fail(env, failure);
  }

  // holds(bytes): whether a program can use a weight where it is.
  Napi::Value holds(const Napi::CallbackInfo& info) {
    if (closed(info.Env())) return info.Env().Undefined();
    const Span bytes = bytes_of(info[0]);
    return Napi::Boolean::New(info.Env(), bytes.bytes == 0 || core_->memory.holds_weight(bytes));
  }

  Napi::Value prepare(const Napi::CallbackInfo& info) { return closed(info.Env()) ? info.Env().Undefined() : prepare_program(core_, info); }
  Napi::Value load(const Napi::CallbackInfo& info) { return closed(info.Env()) ? info.Env().Undefined() : load_program(core_, info); }

  Napi::Value close(const Napi::CallbackInfo& info) {
    close_core(info.Env());
    return info.Env().Undefined();
  }

  std::shared_ptr<Core> core_;
};

}  // namespace

void init_device(Napi::Env env, Napi::Object exports) { exports["Device"] = Device::define(env); }

}  // namespace rlx::metal
