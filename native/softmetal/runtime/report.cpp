#include "report.h"

#include <cstdio>

namespace softmetal {

const char *name(FaultKind kind) {
  switch (kind) {
    case FaultKind::Race: return "race";
    case FaultKind::Bounds: return "bounds";
    case FaultKind::Uninitialised: return "uninitialised";
    case FaultKind::Divergence: return "divergence";
    case FaultKind::Barrier: return "barrier";
    case FaultKind::Binding: return "binding";
    case FaultKind::Limit: return "limit";
    case FaultKind::Trap: return "trap";
    case FaultKind::Misuse: return "misuse";
  }
  return "";
}

void FaultLog::add(Fault fault) {
  std::lock_guard lock(mutex_);
  faults_.push_back(std::move(fault));
}

void FaultLog::beginDispatch() {
  std::lock_guard lock(mutex_);
  seen_.clear();
}

bool FaultLog::first(FaultKind kind, uintptr_t place, uint32_t column) {
  constexpr size_t most = 64;
  std::lock_guard lock(mutex_);
  return seen_.size() < most && seen_.emplace(kind, place, column).second;
}

size_t FaultLog::size() const {
  std::lock_guard lock(mutex_);
  return faults_.size();
}

void FaultLog::clear() {
  std::lock_guard lock(mutex_);
  faults_.clear();
}

std::string format(const char *text, ...) {
  char out[512];
  va_list arguments;
  va_start(arguments, text);
  vsnprintf(out, sizeof out, text, arguments);
  va_end(arguments);
  return out;
}

}  // namespace softmetal
