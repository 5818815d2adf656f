// NSError.
#pragma once
#include "collections.h"

namespace softmetal::objc {

class Error : public Object {
 public:
  static ClassPair objc;
  Error(std::string domain, long code, Ref<Dictionary> user_info) : Object(objc), domain_(std::move(domain)), code_(code), user_info_(std::move(user_info)) {}
  static void define(Methods &methods, Methods &class_methods);

 private:
  std::string domain() const { return domain_; }
  long code() const { return code_; }
  Ref<Dictionary> userInfo() const { return user_info_; }
  std::string localizedDescription() const;
  std::string domain_;
  long code_;
  Ref<Dictionary> user_info_;
};

// With the text as NSLocalizedDescriptionKey.
Ref<Error> makeError(const std::string &domain, long code, const std::string &description);

// Leaves an error behind an `NSError **` of the caller.
void setError(void *place, const Ref<Error> &error);

}  // namespace softmetal::objc
