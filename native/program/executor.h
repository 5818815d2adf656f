// Replays a program: one call for all its steps (or for a range of them between two host steps).
#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "memory.h"
#include "pool.h"
#include "program.h"

namespace rlx {

// Which buffers of a call go through memory of the executor.
struct Staging {
  bool inputs, outputs;
};

struct Failure {
  // -1: not in a step.
  int64_t step = -1;
  std::string text;
};

class Executor {
 public:
  Executor(ProgramDesc program, std::vector<Span> bound) : program_(std::move(program)), bound_(std::move(bound)) {}

  // Allocates the arena and checks the bound weights. False: see `error`.
  bool init(std::string& error);

  // Fix the extents and the memory of inputs, outputs and states for the following calls of run. Every operand of every step is checked against its buffer here, at the
  // actual extents: a malformed program cannot read or write outside.
  bool bind(const std::vector<double>& extents, const std::vector<Span>& inputs, const std::vector<Span>& outputs,
            const std::vector<Span>& states, Staging stage, Failure& failure);

  // Steps [from, to). False with an empty text: cancelled. `micros` (may be NULL): time of each step of the program.
  bool run(rlx_pool& pool, size_t from, size_t to, const std::atomic<bool>& cancelled, double* micros, Failure& failure);

  // Copy outputs that were computed in memory of our own (staged, or misaligned targets) to where they go.
  void deliver();
  // Memory of a buffer as the run sees it.
  Span buffer(size_t index) const { return index < memory_.size() ? memory_[index] : Span{}; }
  size_t arena_bytes() const { return program_.arena_bytes; }
  size_t steps() const { return program_.steps.size(); }

 private:
  struct BoundStep {
    std::vector<rlx_tensor> in, out;
    std::vector<double> params;
  };
  // Where an operand lies; its address is added at each bind.
  bool resolve(const OperandDesc& o, rlx_tensor& t, size_t& offset, std::string& error) const;
  bool resolve_all(Failure& failure);
  size_t actual_bytes(const Buffer& b) const;
  bool attach(size_t index, Span given, bool stage, bool input, Failure& failure);
  uint8_t* own(size_t index);

  ProgramDesc program_;
  std::vector<Span> bound_;
  std::shared_ptr<Memory> arena_;
  std::vector<std::shared_ptr<Memory>> own_;  // staging, per buffer
  std::vector<Span> memory_;
  std::vector<double> extents_;
  std::vector<BoundStep> steps_;
  struct Delivery {
    size_t buffer;
    Span target;
  };
  std::vector<Delivery> deliveries_;
};

}  // namespace rlx
