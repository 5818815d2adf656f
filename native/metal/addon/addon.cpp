#include "addon.h"

namespace rlx::metal {
namespace {

const char* name_of(Failure::Kind kind) {
  switch (kind) {
    case Failure::Kind::shader: return "shader";
    case Failure::Kind::refused: return "refused";
    case Failure::Kind::out_of_memory: return "memory";
    case Failure::Kind::device_lost: return "lost";
    case Failure::Kind::fault: return "fault";
    case Failure::Kind::invalid: break;
  }
  return "invalid";
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  init_values(env, exports);
  init_device(env, exports);
  init_executable(env);
#ifdef SOFTMETAL
  init_software(env, exports);
#endif
  return exports;
}

}  // namespace

Napi::Error error_of(Napi::Env env, const Failure& failure) {
  const Napi::Error error = Napi::Error::New(env, failure.text);
  error.Set("kind", Napi::String::New(env, name_of(failure.kind)));
  error.Set("step", Napi::Number::New(env, static_cast<double>(failure.step)));
  if (failure.kind == Failure::Kind::refused) {
    error.Set("code", Napi::Number::New(env, failure.code));
    Napi::Array values = Napi::Array::New(env, 3);
    for (uint32_t i = 0; i < 3; i++) values[i] = Napi::BigInt::New(env, failure.values[i]);
    error.Set("values", values);
  }
  return error;
}

Napi::Value fail(Napi::Env env, const Failure& failure) {
  error_of(env, failure).ThrowAsJavaScriptException();
  return env.Undefined();
}

}  // namespace rlx::metal

static Napi::Object init_rlxjs(Napi::Env env, Napi::Object exports) { return rlx::metal::init(env, exports); }
NODE_API_MODULE(rlxjs_metal, init_rlxjs)
