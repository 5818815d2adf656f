#include "addon.h"

namespace rlx::metal {

std::vector<std::string> strings_of(const Napi::Value& list) {
  std::vector<std::string> out;
  const auto array = list.As<Napi::Array>();
  for (uint32_t i = 0; i < array.Length(); i++) out.push_back(array.Get(i).ToString().Utf8Value());
  return out;
}

bool Compilation::read(const Napi::CallbackInfo& info, size_t first) {
  const Span words = bytes_of(info[first]);
  const auto functions = strings_of(info[first + 1]);
  const auto libraries = info[first + 2].As<Napi::Array>();
  libraries_.resize(libraries.Length());
  for (uint32_t i = 0; i < libraries.Length(); i++) {
    const auto library = libraries.Get(i).As<Napi::Object>();
    libraries_[i].label = library.Get("label").ToString().Utf8Value();
    libraries_[i].source = library.Get("source").ToString().Utf8Value();
  }
  return decode_program(reinterpret_cast<const double*>(words.data), words.bytes / sizeof(double), functions, libraries_.size(), program, failure.text);
}

bool Compilation::run(GpuDevice& device) {
  pipelines.resize(program.pipelines.size());
  // The system compiles several at a time, each in a process of its own.
  std::vector<std::thread> threads;
  for (size_t i = 0; i < libraries_.size(); i++) threads.emplace_back([this, &device, i] { libraries_[i].ok = compile(device, i); });
  for (std::thread& thread : threads) thread.join();
  for (const Library& library : libraries_)
    if (!library.ok) {
      failure = library.failure;
      return false;
    }
  return true;
}

bool Compilation::compile(GpuDevice& device, size_t index) {
  Library& library = libraries_[index];
  std::string error;
  library.compiled = device.library(library.label, library.source, error);
  if (!library.compiled) return library.failure.set(Failure::Kind::shader, "library \"" + library.label + "\" does not compile:\n" + error);
  for (size_t i = 0; i < program.pipelines.size(); i++) {
    const Pipeline& p = program.pipelines[i];
    if (p.library != index) continue;
    pipelines[i] = library.compiled->pipeline(p.function, p.constants, error);
    if (!pipelines[i]) return library.failure.set(Failure::Kind::shader, "function \"" + p.function + "\": " + error);
  }
  return true;
}

Napi::Value prepare_program(const std::shared_ptr<Core>& core, const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  auto compilation = std::make_shared<Compilation>();
  if (!compilation->read(info, 0)) return fail(env, compilation->failure);
  const auto deferred = std::make_shared<Napi::Promise::Deferred>(Napi::Promise::Deferred::New(env));
  auto device = std::make_shared<Napi::ObjectReference>(Napi::Persistent(info.This().As<Napi::Object>()));
  // References of JavaScript go on with the task, to its thread.
  core->apart(env, [core, compilation = std::move(compilation), deferred, device = std::move(device)]() mutable -> Settler::Task {
    const bool ok = compilation->run(*core->device);
    return [core, ok, compilation = std::move(compilation), deferred = std::move(deferred), device = std::move(device)](Napi::Env e) mutable {
      const Napi::HandleScope scope(e);
      if (!ok) return deferred->Reject(error_of(e, compilation->failure).Value());
      const auto release = [compilation = std::move(compilation)](const Napi::CallbackInfo&) mutable { compilation.reset(); };
      deferred->Resolve(Napi::Function::New(e, release, "release"));
    };
  });
  return deferred->Promise();
}

}  // namespace rlx::metal
