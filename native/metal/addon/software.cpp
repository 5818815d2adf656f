// What tests ask of Software Metal: `software` of the addon, on Linux only.
#include <softmetal_testing.h>

#include "addon.h"

namespace rlx::metal {
namespace {

double number(const Napi::Object& object, const char* name, double otherwise) {
  const Napi::Value value = object.Get(name);
  return value.IsNumber() ? value.ToNumber().DoubleValue() : otherwise;
}

// configure({ order, seed, workers, maxThreads, check, memory }): of devices that are opened afterwards.
Napi::Value configure(const Napi::CallbackInfo& info) {
  const auto given = info[0].As<Napi::Object>();
  softmetal_options options{};
  const auto order = given.Get("order").IsString() ? given.Get("order").ToString().Utf8Value() : "forward";
  options.execution.order = order == "random" ? SM_RANDOM : order == "reverse" ? SM_REVERSE : SM_FORWARD;
  options.execution.seed = static_cast<uint64_t>(number(given, "seed", 1));
  options.execution.workers = static_cast<uint32_t>(number(given, "workers", 1));
  options.execution.max_threads_per_threadgroup = static_cast<uint32_t>(number(given, "maxThreads", MAX_THREADS));
  options.check = given.Get("check").ToBoolean() ? 1 : 0;
  options.memory = static_cast<uint64_t>(number(given, "memory", 0));
  softmetal_configure(&options);
  return info.Env().Undefined();
}

Napi::Value lose_devices(const Napi::CallbackInfo& info) {
  softmetal_lose_devices();
  return info.Env().Undefined();
}

Napi::Value counters(const Napi::CallbackInfo& info) {
  const softmetal_counters counted = softmetal_count();
  Napi::Object out = Napi::Object::New(info.Env());
  const auto set = [&](const char* name, auto value) { out[name] = Napi::Number::New(info.Env(), static_cast<double>(value)); };
  set("objects", counted.objects);
  set("buffers", counted.buffers);
  set("commandBuffers", counted.command_buffers);
  set("bytes", counted.bytes);
  set("committed", counted.committed);
  set("dispatches", counted.dispatches);
  set("barriers", counted.barriers);
  set("libraries", counted.libraries);
  return out;
}

// takeFaults(): what went wrong since the last call, [{ kind, kernel, file, line, message }].
Napi::Value take_faults(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Array out = Napi::Array::New(env);
  for (size_t i = 0; i < softmetal_fault_count(); i++) {
    const sm_fault fault = softmetal_fault_at(i);
    Napi::Object o = Napi::Object::New(env);
    o["kind"] = Napi::String::New(env, fault.kind);
    o["kernel"] = Napi::String::New(env, fault.kernel);
    o["file"] = Napi::String::New(env, fault.file);
    o["line"] = Napi::Number::New(env, fault.line);
    o["message"] = Napi::String::New(env, fault.message);
    out[static_cast<uint32_t>(i)] = o;
  }
  softmetal_clear_faults();
  return out;
}

}  // namespace

void init_software(Napi::Env env, Napi::Object exports) {
  Napi::Object software = Napi::Object::New(env);
  software["configure"] = Napi::Function::New(env, configure, "configure");
  software["loseDevices"] = Napi::Function::New(env, lose_devices, "loseDevices");
  software["counters"] = Napi::Function::New(env, counters, "counters");
  software["takeFaults"] = Napi::Function::New(env, take_faults, "takeFaults");
  exports["software"] = software;
}

}  // namespace rlx::metal
