// Who touched a byte last: what races are found by.
#pragma once
#include <cstddef>
#include <cstdint>

namespace softmetal {

// One access, and everything that can order another one against it.
struct Access {
  uint32_t interval;     // between memory barriers of the encoder; 0: no access yet
  uint32_t dispatch;
  uint32_t threadgroup;  // its number in the grid
  uint32_t phase;        // threadgroup barriers so far that order this memory
  uint32_t simd_phase;   // simdgroup barriers so far that order this memory
  uint16_t thread;       // its number in the threadgroup
  bool atomic;
  bool other_lanes;      // of reads: threads of one simdgroup have read in this phase, `thread` is the last
  bool other_simdgroups; // of reads: several simdgroups have
};

// Whether nothing orders `now` behind `earlier`, so that the two may not touch one byte unless both read.
bool unordered(const Access &earlier, const Access &now);

// The reads that a later write has to be ordered behind, after one more.
Access mergeReads(const Access &earlier, const Access &now);

struct ByteHistory {
  Access write, read;
};

// One history per byte of a memory, in pages that the system provides when they are touched.
class Shadow {
 public:
  Shadow() = default;
  Shadow(const Shadow &) = delete;
  Shadow &operator=(const Shadow &) = delete;
  ~Shadow();
  // nullptr: no memory for it. The first call decides about the size.
  ByteHistory *cells(size_t bytes);

 private:
  ByteHistory *cells_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace softmetal
