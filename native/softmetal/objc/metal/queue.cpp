#include "queue.h"

#include <algorithm>

#include "../core/misuse.h"
#include "residency.h"

namespace softmetal::objc {
namespace {
Ref<CommandBufferDescriptor> newDescriptor() { return make<CommandBufferDescriptor>(); }
}  // namespace

ClassPair CommandBufferDescriptor::objc{"MTLCommandBufferDescriptor", rootClass(), Storage::Counted, &CommandBufferDescriptor::define,
                                        destroy<CommandBufferDescriptor>};
ClassPair CommandQueue::objc{"MTLCommandQueue", rootClass(), Storage::Counted, &CommandQueue::define, destroy<CommandQueue>};

void CommandBufferDescriptor::define(Methods &methods, Methods &class_methods) {
  class_methods.addStatic<newDescriptor>("new");
  class_methods.addStatic<newDescriptor>("alloc");
  methods.add<&CommandBufferDescriptor::retainedReferences>("retainedReferences");
  methods.add<&CommandBufferDescriptor::setRetainedReferences>("setRetainedReferences:");
  methods.add<&CommandBufferDescriptor::errorOptions>("errorOptions");
  methods.add<&CommandBufferDescriptor::setErrorOptions>("setErrorOptions:");
}

CommandQueue::CommandQueue(Device &device, unsigned long max_command_buffers) : Object(objc), device_(&device), max_command_buffers_(max_command_buffers) {}

CommandQueue::~CommandQueue() {
  {
    std::lock_guard lock(work_->mutex);
    work_->ended = true;
    work_->changed.notify_all();
  }
  if (!thread_.joinable()) return;
  // The last command buffer, and the queue with it, may end on the thread itself.
  if (thread_.get_id() == std::this_thread::get_id()) thread_.detach();
  else thread_.join();
}

void CommandQueue::work(std::shared_ptr<Work> work) {
  for (;;) {
    std::unique_lock lock(work->mutex);
    work->changed.wait(lock, [&] { return work->ended || !work->waiting.empty(); });
    if (work->waiting.empty()) return;
    Ref<CommandBuffer> next = std::move(work->waiting.front());
    work->waiting.pop_front();
    lock.unlock();
    next->run();
    const std::shared_ptr<Progress> progress = next->progress();
    next = nullptr;
    lock.lock();
    --work->committed;
    work->changed.notify_all();
    lock.unlock();
    progress->finish();
  }
}

void CommandQueue::push(Ref<CommandBuffer> command_buffer) {
  if (!thread_.joinable()) thread_ = std::thread(work, work_);
  std::lock_guard lock(work_->mutex);
  --work_->open;
  ++work_->committed;
  work_->waiting.push_back(std::move(command_buffer));
  work_->changed.notify_all();
}

void CommandQueue::abandoned() {
  std::lock_guard lock(work_->mutex);
  --work_->open;
  work_->changed.notify_all();
}

Ref<CommandBuffer> CommandQueue::makeCommandBuffer(bool retained_references, unsigned long error_options) {
  std::unique_lock lock(work_->mutex);
  if (work_->open >= max_command_buffers_) {
    reportMisuse("commandBuffer would wait for ever: " + std::to_string(work_->open) + " command buffers of this queue are not committed");
    return nullptr;
  }
  work_->changed.wait(lock, [&] { return work_->open + work_->committed < max_command_buffers_; });
  ++work_->open;
  lock.unlock();
  return make<CommandBuffer>(*this, *device_, retained_references, error_options);
}

Ref<CommandBuffer> CommandQueue::described(CommandBufferDescriptor *descriptor) {
  if (descriptor != nullptr) return makeCommandBuffer(descriptor->retainedReferences(), descriptor->errorOptions());
  reportMisuse("commandBufferWithDescriptor: the descriptor is nil");
  return nullptr;
}

void CommandQueue::addResidencySet(ResidencySet *set) {
  if (set == nullptr) return reportMisuse("addResidencySet: the set is nil");
  residency_sets_.emplace_back(set);
}

void CommandQueue::removeResidencySet(ResidencySet *set) {
  auto &sets = residency_sets_;
  sets.erase(std::remove_if(sets.begin(), sets.end(), [&](const Ref<ResidencySet> &each) { return each.get() == set; }), sets.end());
}

void CommandQueue::define(Methods &methods, Methods &) {
  methods.add<&CommandQueue::commandBuffer>("commandBuffer");
  methods.add<&CommandQueue::unretained>("commandBufferWithUnretainedReferences");
  methods.add<&CommandQueue::described>("commandBufferWithDescriptor:");
  methods.add<&CommandQueue::addResidencySet>("addResidencySet:");
  methods.add<&CommandQueue::removeResidencySet>("removeResidencySet:");
  methods.add<&CommandQueue::device>("device");
  methods.add<&CommandQueue::label>("label");
  methods.add<&CommandQueue::setLabel>("setLabel:");
}

}  // namespace softmetal::objc

SOFTMETAL_EXPORT_CLASS(MTLCommandBufferDescriptor, softmetal::objc::CommandBufferDescriptor::objc);
