// MTLCommandBuffer: commands on their way from the encoders to the queue's thread.
#pragma once
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "commands.h"

namespace softmetal::objc {

class CommandQueue;
class ResidencySet;
class ComputeEncoder;
class BlitEncoder;

// How far a command buffer is. Lives longer than the command buffer, so that the last one to use that can still be told.
struct Progress {
  enum Status : unsigned long { kNotEnqueued, kEnqueued, kCommitted, kScheduled, kCompleted, kError };
  std::atomic<Status> status{kNotEnqueued};
  std::mutex mutex;
  std::condition_variable changed;
  bool finished = false;  // and all handlers have returned
  std::thread::id runner;
  void set(Status next);
  void finish();
};

class CommandBuffer : public Object {
 public:
  static ClassPair objc;
  CommandBuffer(CommandQueue &queue, Device &device, bool retained_references, unsigned long error_options);
  ~CommandBuffer();

  // The host did something wrong: the command buffer will fail.
  void fail(const std::string &message);
  void record(Command command) { commands_.push_back(std::move(command)); }
  void encoderEnded() { encoding_ = false; }
  Device &device() const { return *device_; }
  // On the queue's thread: carries out the commands and calls the handlers. Those who wait are told by the caller.
  void run();
  std::shared_ptr<Progress> progress() const { return progress_; }
  static void define(Methods &methods, Methods &class_methods);

 private:
  bool mayChange(const char *method);
  bool mayEncode(const char *method);
  Ref<ComputeEncoder> compute() { return computeWithType(0); }
  Ref<ComputeEncoder> computeWithType(unsigned long type);
  Ref<BlitEncoder> blit();
  void enqueue();
  void commit();
  void addScheduledHandler(void *block);
  void addCompletedHandler(void *block);
  void waitUntilScheduled() { waitFor(Progress::kScheduled, "waitUntilScheduled"); }
  void waitUntilCompleted() { waitFor(Progress::kCompleted, "waitUntilCompleted"); }
  void waitFor(Progress::Status status, const char *method);
  void useResidencySet(ResidencySet *) {}
  void pushDebugGroup(void *) {}
  void popDebugGroup() {}
  void executeCommands();
  void call(const std::vector<void *> &handlers);
  Ref<Error> failure() const;

  unsigned long status() const { return progress_->status; }
  Ref<Error> error() const { return error_; }
  double startTime() const { return start_; }
  double endTime() const { return end_; }
  std::string label() const { return label_; }
  void setLabel(std::string label) { label_ = std::move(label); }
  Ref<Device> deviceObject() const { return device_; }
  Ref<CommandQueue> queueObject() const;
  bool retainedReferences() const { return retained_references_; }
  unsigned long errorOptions() const { return error_options_; }

  Ref<Device> device_;
  Ref<CommandQueue> queue_;
  bool retained_references_;
  unsigned long error_options_;
  std::shared_ptr<Progress> progress_ = std::make_shared<Progress>();
  bool encoding_ = false;
  std::vector<Command> commands_;
  std::vector<FaultText> faults_;
  std::vector<void *> scheduled_handlers_, completed_handlers_;
  Ref<Error> error_;
  double start_ = 0, end_ = 0;
  std::string label_;
};

}  // namespace softmetal::objc
