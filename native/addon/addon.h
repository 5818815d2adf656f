// The N-API side: the only files that know of JavaScript. packages/backend-cpu/src/addon.ts declares the same interface.
#pragma once
#include <napi.h>

#include <memory>
#include <vector>

#include "../program/executor.h"
#include "../program/memory.h"

namespace rlx {

class Core;  // engine.h

// Throw a JavaScript Error with this text.
Napi::Value fail(Napi::Env env, const std::string& text);

// The bytes of a typed array, or an empty span when `value` is not one.
Span bytes_of(const Napi::Value& value);
// The bytes of every element of a list; undefined elements give empty spans.
std::vector<Span> spans_of(const Napi::Value& list);
// A Uint8Array over part of a block, which stays alive as long as the array (or until it is detached).
Napi::Value view_of(Napi::Env env, const std::shared_ptr<Memory>& block, size_t offset, size_t length);

void init_memory(Napi::Env env, Napi::Object exports);
void init_engine(Napi::Env env, Napi::Object exports);
void init_executable(Napi::Env env);
Napi::Value new_executable(Napi::Env env, const std::shared_ptr<Core>& core, const Napi::CallbackInfo& info);

}  // namespace rlx
