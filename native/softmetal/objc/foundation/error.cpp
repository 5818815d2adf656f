#include "error.h"

#include "string.h"

SOFTMETAL_STRING(NSLocalizedDescriptionKey);

namespace softmetal::objc {
namespace {
Ref<Error> withDomain(std::string domain, long code, Dictionary *user_info) {
  return make<Error>(domain, code, user_info != nullptr ? Ref(user_info) : make<Dictionary>());
}
}  // namespace

ClassPair Error::objc{"NSError", rootClass(), Storage::Counted, &Error::define, destroy<Error>};

std::string Error::localizedDescription() const {
  if (const void *description = user_info_->find(const_cast<ConstantString *>(NSLocalizedDescriptionKey))) return text(description);
  return "The operation couldn't be completed. (" + domain_ + " error " + std::to_string(code_) + ".)";
}

Ref<Error> makeError(const std::string &domain, long code, const std::string &description) {
  auto info = make<Dictionary>();
  info->set(const_cast<ConstantString *>(NSLocalizedDescriptionKey), make<String>(description).get());
  return make<Error>(domain, code, std::move(info));
}

void setError(void *place, const Ref<Error> &error) {
  if (place != nullptr) *static_cast<void **>(place) = autorelease(Ref(error).detach());
}

void Error::define(Methods &methods, Methods &class_methods) {
  methods.add<&Error::domain>("domain");
  methods.add<&Error::code>("code");
  methods.add<&Error::userInfo>("userInfo");
  methods.add<&Error::localizedDescription>("localizedDescription");
  methods.add<&Error::localizedDescription>("description");
  class_methods.addStatic<withDomain>("errorWithDomain:code:userInfo:");
}

}  // namespace softmetal::objc

SOFTMETAL_EXPORT_CLASS(NSError, softmetal::objc::Error::objc);
