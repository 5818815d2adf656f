#include "values.h"

namespace rlx {

Napi::Value fail(Napi::Env env, const std::string& text) {
  Napi::Error::New(env, text).ThrowAsJavaScriptException();
  return env.Undefined();
}

Span bytes_of(const Napi::Value& value) {
  if (!value.IsTypedArray()) return {};
  const auto array = value.As<Napi::TypedArray>();
  return {static_cast<uint8_t*>(array.ArrayBuffer().Data()) + array.ByteOffset(), array.ByteLength()};
}

std::vector<Span> spans_of(const Napi::Value& list) {
  std::vector<Span> out;
  if (!list.IsArray()) return out;
  const auto array = list.As<Napi::Array>();
  for (uint32_t i = 0; i < array.Length(); i++) out.push_back(bytes_of(array.Get(i)));
  return out;
}

Napi::Value view_of(Napi::Env env, const std::shared_ptr<Memory>& block, size_t offset, size_t length) {
  if (length == 0) return Napi::Uint8Array::New(env, 0);
  const auto release = [](Napi::BasicEnv, void*, std::shared_ptr<Memory>* held) { std::unique_ptr<std::shared_ptr<Memory>> drop(held); };
  auto held = std::make_unique<std::shared_ptr<Memory>>(block);
  const auto buffer = Napi::ArrayBuffer::New(env, block->data() + offset, length, release, held.release());
  return Napi::Uint8Array::New(env, length, buffer, 0);
}

namespace {

// detach(array): its buffer gets length 0; the memory goes when no run or program uses it any more.
Napi::Value detach(const Napi::CallbackInfo& info) {
  if (info[0].IsTypedArray()) {
    Napi::ArrayBuffer buffer = info[0].As<Napi::TypedArray>().ArrayBuffer();
    if (!buffer.IsDetached()) buffer.Detach();
  }
  return info.Env().Undefined();
}

class MappedFile : public Napi::ObjectWrap<MappedFile> {
 public:
  explicit MappedFile(const Napi::CallbackInfo& info) : ObjectWrap(info) {
    std::string error;
    block_ = Memory::map_file(info[0].ToString().Utf8Value(), error);
    if (!block_) fail(info.Env(), error);
  }
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "MappedFile",
                       {InstanceAccessor<&MappedFile::size>("size"), InstanceMethod<&MappedFile::view>("view"),
                        InstanceMethod<&MappedFile::close>("close")});
  }

 private:
  Napi::Value size(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), block_ ? static_cast<double>(block_->size()) : 0);
  }
  // view(offset, length)
  Napi::Value view(const Napi::CallbackInfo& info) {
    const double offset = info[0].ToNumber().DoubleValue();
    const double length = info[1].ToNumber().DoubleValue();
    if (!block_) return fail(info.Env(), "the file is closed");
    if (!(offset >= 0 && length >= 0 && offset + length <= static_cast<double>(block_->size())))
      return fail(info.Env(), "range is outside the file");
    return view_of(info.Env(), block_, static_cast<size_t>(offset), static_cast<size_t>(length));
  }
  Napi::Value close(const Napi::CallbackInfo& info) {
    block_.reset();
    return info.Env().Undefined();
  }
  std::shared_ptr<Memory> block_;
};

}  // namespace

void init_values(Napi::Env env, Napi::Object exports) {
  exports["detach"] = Napi::Function::New(env, detach, "detach");
  exports["MappedFile"] = MappedFile::define(env);
}

}  // namespace rlx
