#include "addon.h"

#include "../cpu/isa.h"

namespace rlx {
namespace {

// { machine: what the processor has, best first; kernels: names in a table }
Napi::Value cpu_info(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto tables = supported_tables();
  Napi::Object out = Napi::Object::New(env);
  Napi::Array isas = Napi::Array::New(env, tables.size());
  for (size_t i = 0; i < tables.size(); i++) isas[static_cast<uint32_t>(i)] = Napi::String::New(env, tables[i]->isa);
  out["isas"] = isas;
  Napi::Array names = Napi::Array::New(env);
  for (size_t i = 0; i < tables[0]->n_kernels; i++) names[static_cast<uint32_t>(i)] = Napi::String::New(env, tables[0]->kernels[i].name);
  out["kernels"] = names;
  return out;
}

// allocate(bytes): zeroed, page-aligned memory; untouched pages cost nothing.
Napi::Value allocate(const Napi::CallbackInfo& info) {
  const auto bytes = static_cast<size_t>(info[0].ToNumber().DoubleValue());
  const auto block = Memory::allocate(bytes);
  if (!block) return fail(info.Env(), "cannot allocate " + std::to_string(bytes) + " bytes");
  return view_of(info.Env(), block, 0, bytes);
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  init_values(env, exports);
  exports["allocate"] = Napi::Function::New(env, allocate, "allocate");
  init_engine(env, exports);
  init_executable(env);
  exports["cpuInfo"] = Napi::Function::New(env, cpu_info, "cpuInfo");
  return exports;
}

}  // namespace
}  // namespace rlx

static Napi::Object init_rlxjs(Napi::Env env, Napi::Object exports) { return rlx::init(env, exports); }
NODE_API_MODULE(rlxjs_cpu, init_rlxjs)
