// Replays a program: one call binds the memory of a run, encodes all its launches and commits them.
#pragma once
#include <functional>
#include <optional>

#include "hazards.h"
#include "memory.h"
#include "prepare.h"

namespace rlx::metal {

struct Call {
  std::vector<double> extents;
  std::vector<Span> inputs, outputs, states;
  // One command buffer per step, for the time of each.
  bool trace = false;
};

// How a run ended.
struct Outcome {
  bool ok = false;
  Failure failure;
  double gpu_micros = 0;
  std::vector<double> step_micros;  // when traced
};

// Sums over the runs so far.
struct Counts {
  double command_buffers = 0, waits = 0, launches = 0, barriers = 0, copied_bytes = 0;
};

class Replay {
 public:
  using Pipelines = std::vector<std::shared_ptr<GpuPipeline>>;
  using Done = std::function<void(const Outcome&)>;

  // `labels`: of the steps. `labelled`: captures and reports show them.
  Replay(std::shared_ptr<GpuDevice> device, std::string name, Program program, std::vector<std::string> labels, bool labelled);
  Replay(const Replay&) = delete;
  Replay& operator=(const Replay&) = delete;

  // `bound`: memory per buffer of the program; weights and constants have some.
  bool init(Pipelines pipelines, const std::vector<Span>& bound, DeviceMemory& memory, Failure& failure);
  // One run; the next one may begin when `done` has been called. That happens once, on any thread, also within this call. What is given
  // stays valid until then.
  void start(const Call& call, const DeviceMemory& memory, Done done);

  const Counts& counts() const { return counts_; }
  size_t arena_bytes() const { return program_.arena_bytes; }

 private:
  struct Delivery {
    std::shared_ptr<GpuBuffer> from;
    Span to;
  };
  class UnderWay;

  bool check_pipelines(Failure& failure) const;
  bool bind(const Call& call, const DeviceMemory& memory, Failure& failure);
  bool attach(size_t index, Span given, bool input, const DeviceMemory& memory, Failure& failure);
  bool attach_state(size_t index, size_t state, Span given, const DeviceMemory& memory, Failure& failure);
  void number_buffers();

  void encode(bool trace, const std::shared_ptr<UnderWay>& run);
  void encode_launch(GpuCommands& commands, const PreparedLaunch& launch) const;
  bool must_wait(Hazards& hazards, const PreparedLaunch& launch);
  void finish(Outcome& outcome);

  const std::shared_ptr<GpuDevice> device_;
  const std::string name_;
  const Program program_;
  const std::vector<std::string> labels_;
  const bool labelled_;
  Pipelines pipelines_;
  std::optional<Prepared> prepared_;
  std::shared_ptr<GpuBuffer> arena_, status_, nothing_;
  std::vector<std::shared_ptr<GpuBuffer>> own_;  // by buffer: where inputs and outputs go that cannot be used in place
  std::vector<Placed> placed_;                   // by source of bindings
  std::vector<uint32_t> numbers_;                // by source: equal for parts of one MTLBuffer
  std::vector<Use> uses_;                        // of the launch that is encoded
  std::vector<Delivery> deliveries_;
  Counts counts_;
};

}  // namespace rlx::metal
