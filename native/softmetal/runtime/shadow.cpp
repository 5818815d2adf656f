#include "shadow.h"

#include <sys/mman.h>

namespace softmetal {

namespace {
constexpr uint32_t kLanes = 32;
bool sameThreadgroup(const Access &a, const Access &b) { return a.dispatch == b.dispatch && a.threadgroup == b.threadgroup; }
bool sameSimdgroup(const Access &a, const Access &b) { return a.thread / kLanes == b.thread / kLanes; }
}  // namespace

bool unordered(const Access &earlier, const Access &now) {
  if (earlier.interval != now.interval) return false;  // no access yet, or a memory barrier between them
  if (earlier.atomic && now.atomic) return false;
  if (!sameThreadgroup(earlier, now)) return true;
  if (earlier.phase != now.phase) return false;
  if (earlier.other_simdgroups) return true;
  if (!sameSimdgroup(earlier, now)) return true;
  if (earlier.simd_phase != now.simd_phase) return false;
  return earlier.thread != now.thread || earlier.other_lanes;
}

Access mergeReads(const Access &earlier, const Access &now) {
  Access merged = now;
  const bool together = earlier.interval == now.interval && sameThreadgroup(earlier, now) && earlier.phase == now.phase;
  if (!together) return merged;
  merged.other_simdgroups = earlier.other_simdgroups || !sameSimdgroup(earlier, now);
  // A simdgroup barrier since then orders the earlier lanes' reads before whatever this simdgroup does next.
  const bool same_phase = sameSimdgroup(earlier, now) && earlier.simd_phase == now.simd_phase;
  merged.other_lanes = same_phase && (earlier.other_lanes || earlier.thread != now.thread);
  return merged;
}

Shadow::~Shadow() {
  if (cells_ != nullptr) munmap(cells_, bytes_);
}

ByteHistory *Shadow::cells(size_t bytes) {
  if (cells_ != nullptr || bytes == 0) return cells_;
  bytes_ = bytes * sizeof(ByteHistory);
  void *memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory != MAP_FAILED) cells_ = static_cast<ByteHistory *>(memory);
  return cells_;
}

}  // namespace softmetal
