// The launches of a program at the extents of a run: all expressions evaluated, all ranges checked.
#pragma once
#include "failure.h"
#include "program.h"

namespace rlx::metal {

struct PreparedBinding {
  uint32_t index;   // of the kernel's argument
  uint32_t source;  // a buffer of the program, or one of the two behind them
  Access access;
  size_t offset, bytes;  // 0 bytes: nothing that the kernel could read
};

struct PreparedLaunch {
  bool empty;  // its grid
  uint32_t step, pipeline;
  size_t arguments, argument_bytes;  // in Prepared::arguments
  size_t bindings, binding_count;    // in Prepared::bindings
  size_t threadgroup_bytes, threadgroup_count;
  bool in_threads;
  GpuSize grid, threads;
};

class Prepared {
 public:
  // `threadgroup_limits`: bytes of threadgroup memory that a launch may ask for, by pipeline. The program outlives this object.
  Prepared(const Program& program, std::vector<size_t> threadgroup_limits) : program_(program), threadgroup_limits_(std::move(threadgroup_limits)) {}
  // Does nothing where the extents are those of the last call. False: see `failure`, and nothing is prepared any more.
  bool update(const std::vector<double>& extents, Failure& failure);

  std::vector<size_t> buffer_bytes;  // at these extents
  std::vector<PreparedLaunch> launches;
  std::vector<PreparedBinding> bindings;
  std::vector<uint8_t> arguments;
  std::vector<size_t> threadgroup_bytes;

 private:
  bool buffers(Failure& failure);
  bool launch(const Launch& launch, Failure& failure);
  bool arguments_of(const Launch& launch, Failure& failure);
  bool binding_of(const Launch& launch, uint32_t index, Failure& failure);
  bool threadgroup_memory_of(const Launch& launch, Failure& failure);

  const Program& program_;
  const std::vector<size_t> threadgroup_limits_;
  std::vector<double> extents_, values_;
  bool ready_ = false;
};

// Sources of bindings behind the program's buffers.
inline uint32_t arena_source(const Program& program) { return static_cast<uint32_t>(program.buffers.size()); }
inline uint32_t status_source(const Program& program) { return static_cast<uint32_t>(program.buffers.size()) + 1; }

// What kernels report into: Status in shaders/common.h.
struct Refusal {
  uint32_t code, reserved;
  int64_t values[3];
};
struct StatusHeader {
  uint32_t refused;
  uint32_t reserved[7];
};
inline size_t status_bytes(const Program& program) { return sizeof(StatusHeader) + sizeof(Refusal) * (program.slots > 0 ? program.slots : 1); }

}  // namespace rlx::metal
