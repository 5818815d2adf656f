// MTLCommandQueue: executes command buffers in the order of their commits on a thread of its own.
#pragma once
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "command_buffer.h"

namespace softmetal::objc {

class CommandBufferDescriptor : public Object {
 public:
  static ClassPair objc;
  CommandBufferDescriptor() : Object(objc) {}
  bool retainedReferences() const { return retained_references_; }
  unsigned long errorOptions() const { return error_options_; }
  static void define(Methods &methods, Methods &class_methods);

 private:
  void setRetainedReferences(bool retained) { retained_references_ = retained; }
  void setErrorOptions(unsigned long options) { error_options_ = options; }
  bool retained_references_ = true;
  unsigned long error_options_ = 0;
};

class CommandQueue : public Object {
 public:
  static ClassPair objc;
  CommandQueue(Device &device, unsigned long max_command_buffers);
  ~CommandQueue();
  void push(Ref<CommandBuffer> command_buffer);
  // A command buffer ended without a commit.
  void abandoned();
  static void define(Methods &methods, Methods &class_methods);

 private:
  // What the thread needs; it may outlive the queue.
  struct Work {
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<Ref<CommandBuffer>> waiting;
    unsigned long committed = 0, open = 0;  // not complete; not committed
    bool ended = false;
  };
  static void work(std::shared_ptr<Work> work);
  Ref<CommandBuffer> commandBuffer() { return makeCommandBuffer(true, 0); }
  Ref<CommandBuffer> unretained() { return makeCommandBuffer(false, 0); }
  Ref<CommandBuffer> described(CommandBufferDescriptor *descriptor);
  Ref<CommandBuffer> makeCommandBuffer(bool retained_references, unsigned long error_options);
  void addResidencySet(ResidencySet *set);
  void removeResidencySet(ResidencySet *set);
  Ref<Device> device() const { return device_; }
  std::string label() const { return label_; }
  void setLabel(std::string label) { label_ = std::move(label); }
  Ref<Device> device_;
  unsigned long max_command_buffers_;
  std::shared_ptr<Work> work_ = std::make_shared<Work>();
  std::thread thread_;
  std::vector<Ref<ResidencySet>> residency_sets_;
  std::string label_;
};

}  // namespace softmetal::objc
