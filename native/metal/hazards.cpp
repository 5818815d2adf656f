#include "hazards.h"

#include <algorithm>

namespace rlx::metal {

bool Hazards::conflicts(const Use& use) const {
  const auto& earlier = since_[use.buffer];
  return std::any_of(earlier.begin(), earlier.end(), [&](const Use& e) {
    const bool together = e.access == use.access && (use.access == Access::read || use.access == Access::atomic);
    return !together && e.begin < use.end && use.begin < e.end;
  });
}

void Hazards::forget() {
  for (const uint32_t buffer : touched_) since_[buffer].clear();
  touched_.clear();
}

bool Hazards::add(const Use* uses, size_t count) {
  const bool waits = std::any_of(uses, uses + count, [this](const Use& use) { return conflicts(use); });
  if (waits) forget();
  for (const Use* use = uses; use != uses + count; use++) {
    if (since_[use->buffer].empty()) touched_.push_back(use->buffer);
    since_[use->buffer].push_back(*use);
  }
  return waits;
}

}  // namespace rlx::metal
