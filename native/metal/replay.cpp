#include "replay.h"

#include <algorithm>
#include <cstring>
#include <mutex>

namespace rlx::metal {

// The command buffers of a run. Whoever commits one, and the thread that encodes, holds a share of it; the last one to let go ends the run.
class Replay::UnderWay {
 public:
  UnderWay(Replay& replay, bool trace, Done done) : replay_(replay), done_(std::move(done)) {
    if (trace) outcome_.step_micros.resize(replay.labels_.size());
  }

  void expect() {
    const std::lock_guard<std::mutex> lock(mutex_);
    shares_++;
  }
  // `step`: the only one of its command buffer, or -1.
  void completed(const GpuCompletion& completion, int64_t step) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      const double micros = std::max(0.0, completion.end - completion.start) * 1e6;
      outcome_.gpu_micros += micros;
      if (step >= 0) outcome_.step_micros[static_cast<size_t>(step)] += micros;
    }
    if (completion.error.kind != GpuFailure::none) failed(completion.error, step);
    let_go();
  }
  void failed(const GpuError& error, int64_t step) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (failed_) return;
    failed_ = true;
    outcome_.failure.set(error, step);
  }
  void let_go() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (--shares_ > 0) return;
    }
    outcome_.ok = !failed_;
    replay_.finish(outcome_);
    // What `done` holds may own the replay, and this object's last owner.
    const Done done = std::move(done_);
    const Outcome outcome = std::move(outcome_);
    done(outcome);
  }

 private:
  Replay& replay_;
  Done done_;
  std::mutex mutex_;
  Outcome outcome_;
  bool failed_ = false;
  size_t shares_ = 1;
};

Replay::Replay(std::shared_ptr<GpuDevice> device, std::string name, Program program, std::vector<std::string> labels, bool labelled)
    : device_(std::move(device)), name_(std::move(name)), program_(std::move(program)), labels_(std::move(labels)), labelled_(labelled) {}

void Replay::start(const Call& call, const DeviceMemory& memory, Done done) {
  Outcome refused;
  if (!bind(call, memory, refused.failure)) {
    finish(refused);
    done(refused);
    return;
  }
  const StatusHeader none = {NO_SLOT, {}};
  std::memcpy(status_->contents(), &none, sizeof(none));
  const auto run = std::make_shared<UnderWay>(*this, call.trace, std::move(done));
  GpuDevice::pool([&] { encode(call.trace, run); });
  run->let_go();
}

void Replay::encode(bool trace, const std::shared_ptr<UnderWay>& run) {
  std::unique_ptr<GpuCommands> commands;
  Hazards hazards(placed_.size());
  int64_t step = -1;
  const double before = counts_.command_buffers;
  const auto commit = [&] {
    if (!commands) return;
    run->expect();
    counts_.command_buffers++;
    commands->commit([run, step](const GpuCompletion& completion) { run->completed(completion, step); });
    commands.reset();
  };
  for (const PreparedLaunch& launch : prepared_->launches) {
    if (launch.empty) continue;
    if (trace && launch.step != step) {
      commit();
      step = launch.step;
      hazards = Hazards(placed_.size());
    }
    if (!commands) commands = device_->commands(trace ? labels_[launch.step] : name_);
    if (!commands) return run->failed({GpuFailure::device_lost, "the device takes no more work"}, -1);
    if (must_wait(hazards, launch)) {
      commands->barrier();
      counts_.barriers++;
    }
    if (labelled_) commands->push_label(labels_[launch.step]);
    encode_launch(*commands, launch);
    if (labelled_) commands->pop_label();
    counts_.launches++;
  }
  commit();
  if (counts_.command_buffers > before) counts_.waits++;
}

bool Replay::must_wait(Hazards& hazards, const PreparedLaunch& launch) {
  uses_.clear();
  for (size_t i = launch.bindings; i < launch.bindings + launch.binding_count; i++) {
    const PreparedBinding& b = prepared_->bindings[i];
    const size_t begin = placed_[b.source].offset + b.offset;
    if (b.bytes > 0) uses_.push_back({numbers_[b.source], b.access, begin, begin + b.bytes});
  }
  return hazards.add(uses_.data(), uses_.size());
}

void Replay::encode_launch(GpuCommands& commands, const PreparedLaunch& launch) const {
  commands.set_pipeline(*pipelines_[launch.pipeline]);
  if (launch.argument_bytes > 0) commands.set_bytes(0, prepared_->arguments.data() + launch.arguments, launch.argument_bytes);
  for (size_t i = launch.bindings; i < launch.bindings + launch.binding_count; i++) {
    const PreparedBinding& b = prepared_->bindings[i];
    // An offset at the end of a buffer is none that Metal takes.
    if (b.bytes == 0) commands.set_buffer(b.index, *nothing_, 0);
    else commands.set_buffer(b.index, *placed_[b.source].buffer, placed_[b.source].offset + b.offset);
  }
  for (size_t i = 0; i < launch.threadgroup_count; i++) commands.set_threadgroup_bytes(i, prepared_->threadgroup_bytes[launch.threadgroup_bytes + i]);
  if (launch.in_threads) commands.dispatch_threads(launch.grid, launch.threads);
  else commands.dispatch_threadgroups(launch.grid, launch.threads);
}

void Replay::finish(Outcome& outcome) {
  if (outcome.ok) {
    StatusHeader status;
    std::memcpy(&status, status_->contents(), sizeof(status));
    if (status.refused < program_.slots) {
      Refusal refusal;
      std::memcpy(&refusal, status_->contents() + sizeof(status) + sizeof(refusal) * status.refused, sizeof(refusal));
      const auto launch = std::find_if(program_.launches.begin(), program_.launches.end(), [&](const Launch& l) { return l.slot == status.refused; });
      outcome.ok = outcome.failure.set(Failure::Kind::refused, "", launch == program_.launches.end() ? -1 : static_cast<int64_t>(launch->step));
      outcome.failure.code = refusal.code;
      std::copy(std::begin(refusal.values), std::end(refusal.values), std::begin(outcome.failure.values));
    }
  }
  if (outcome.ok)
    for (const Delivery& d : deliveries_) std::memcpy(d.to.data, d.from->contents(), d.to.bytes);
  // A program holds what is given to its runs no longer than they last.
  deliveries_.clear();
  for (size_t i = 0; i < program_.buffers.size(); i++)
    if (program_.buffers[i].kind <= BufferKind::state) placed_[i] = {};
}

}  // namespace rlx::metal
