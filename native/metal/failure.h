// Why a program could not be loaded, or a run failed.
#pragma once
#include <cstdint>
#include <string>

#include "gpu_device.h"

namespace rlx::metal {

struct Failure {
  enum class Kind { shader, invalid, refused, out_of_memory, device_lost, fault };
  Kind kind = Kind::invalid;
  std::string text;
  // -1: not in a step.
  int64_t step = -1;
  // Of `refused`: what the kernel reported.
  uint32_t code = 0;
  int64_t values[3] = {};

  // False, so that callers can return it.
  bool set(Kind what, std::string why, int64_t where = -1) {
    kind = what;
    text = std::move(why);
    step = where;
    return false;
  }
  bool no_memory(size_t bytes, const std::string& purpose) {
    return set(Kind::out_of_memory, "cannot allocate " + std::to_string(bytes) + " bytes for " + purpose);
  }
  bool set(const GpuError& error, int64_t where = -1) {
    return set(error.kind == GpuFailure::out_of_memory ? Kind::out_of_memory
               : error.kind == GpuFailure::device_lost ? Kind::device_lost
                                                       : Kind::fault,
               error.text, where);
  }
};

}  // namespace rlx::metal
