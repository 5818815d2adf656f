// What addons share of bytes: typed arrays as spans, blocks of memory as typed arrays, mapped files.
#pragma once
#include <napi.h>

#include <memory>
#include <string>
#include <vector>

#include "../program/memory.h"

namespace rlx {

// Throw a JavaScript Error with this text.
Napi::Value fail(Napi::Env env, const std::string& text);

// The bytes of a typed array, or an empty span when `value` is not one.
Span bytes_of(const Napi::Value& value);
// The bytes of every element of a list; undefined elements give empty spans.
std::vector<Span> spans_of(const Napi::Value& list);
// A Uint8Array over part of a block, which stays alive as long as the array (or until it is detached).
Napi::Value view_of(Napi::Env env, const std::shared_ptr<Memory>& block, size_t offset, size_t length);

// Exports `detach` and `MappedFile`.
void init_values(Napi::Env env, Napi::Object exports);

}  // namespace rlx
