// The N-API side: the only files that know of JavaScript. packages/backend-cpu/src/addon.ts declares the same interface.
#pragma once
#include <napi.h>

#include "../program/executor.h"
#include "values.h"

namespace rlx {

class Core;  // engine.h

void init_engine(Napi::Env env, Napi::Object exports);
void init_executable(Napi::Env env);
Napi::Value new_executable(Napi::Env env, const std::shared_ptr<Core>& core, const Napi::CallbackInfo& info);

}  // namespace rlx
