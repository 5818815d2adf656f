#include "command_buffer.h"

#include <chrono>

#include "../core/blocks.h"
#include "../foundation/string.h"
#include "encoder.h"
#include "queue.h"
#include "residency.h"

SOFTMETAL_STRING(MTLCommandBufferErrorDomain);

extern "C" {
void *objc_autoreleasePoolPush();
void objc_autoreleasePoolPop(void *pool);
}

namespace softmetal::objc {
namespace {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// Libraries have one set of function constants each, so one command buffer of the process is executed at a time.
std::mutex &execution() {
  static auto &mutex = *new std::mutex;
  return mutex;
}

// Sources without a file have the name that the device gave them; debug information puts the compiler's folder in front.
std::string placeOf(const std::string &file) {
  const std::string name = std::string("/") + kSourceName;
  const bool is_source = file.size() > name.size() && file.compare(file.size() - name.size(), name.size(), name) == 0;
  return is_source ? kSourceName : file;
}

constexpr const char *kLost = "lost";

// MTLCommandBufferError
long codeOf(const FaultText &fault) {
  constexpr long internal = 1, page_fault = 3, invalid_resource = 9, device_removed = 11;
  if (fault.kind == kLost) return device_removed;
  if (fault.kind == "bounds") return page_fault;
  if (fault.kind == "misuse" || fault.kind == "binding") return invalid_resource;
  return internal;
}

}  // namespace

ClassPair CommandBuffer::objc{"MTLCommandBuffer", rootClass(), Storage::Counted, &CommandBuffer::define, destroy<CommandBuffer>};

void Progress::set(Status next) {
  std::lock_guard lock(mutex);
  status = next;
  runner = std::this_thread::get_id();
  changed.notify_all();
}

void Progress::finish() {
  std::lock_guard lock(mutex);
  finished = true;
  changed.notify_all();
}

CommandBuffer::CommandBuffer(CommandQueue &queue, Device &device, bool retained_references, unsigned long error_options)
    : Object(objc), device_(&device), queue_(&queue), retained_references_(retained_references), error_options_(error_options) {
  ++counters().command_buffers;
}

CommandBuffer::~CommandBuffer() {
  for (void *block : scheduled_handlers_) releaseBlock(block);
  for (void *block : completed_handlers_) releaseBlock(block);
  if (progress_->status < Progress::kCommitted) queue_->abandoned();
  --counters().command_buffers;
}

void CommandBuffer::fail(const std::string &message) {
  faults_.push_back(misuse(message));
  objc::record(faults_.back());
}

bool CommandBuffer::mayChange(const char *method) {
  if (progress_->status < Progress::kCommitted) return true;
  // Too late to make it fail.
  objc::record(misuse(std::string(method) + " after commit"));
  return false;
}

bool CommandBuffer::mayEncode(const char *method) {
  if (!mayChange(method)) return false;
  if (encoding_) fail(std::string(method) + " while another encoder has not ended");
  return !encoding_;
}

Ref<ComputeEncoder> CommandBuffer::computeWithType(unsigned long type) {
  if (!mayEncode("computeCommandEncoder")) return nullptr;
  encoding_ = true;
  return make<ComputeEncoder>(*this, type);
}

Ref<BlitEncoder> CommandBuffer::blit() {
  if (!mayEncode("blitCommandEncoder")) return nullptr;
  encoding_ = true;
  return make<BlitEncoder>(*this);
}

void CommandBuffer::enqueue() {
  if (mayChange("enqueue")) progress_->set(Progress::kEnqueued);
}

void CommandBuffer::commit() {
  if (!mayChange("commit")) return;
  if (encoding_) fail("commit while an encoder has not ended");
  ++counters().committed;
  progress_->set(Progress::kCommitted);
  queue_->push(Ref(this));
}

void CommandBuffer::addScheduledHandler(void *block) {
  if (mayChange("addScheduledHandler:")) scheduled_handlers_.push_back(copyBlock(block));
}

void CommandBuffer::addCompletedHandler(void *block) {
  if (mayChange("addCompletedHandler:")) completed_handlers_.push_back(copyBlock(block));
}

void CommandBuffer::waitFor(Progress::Status status, const char *method) {
  if (progress_->status < Progress::kCommitted) return fail(std::string(method) + " before commit would wait for ever");
  std::unique_lock lock(progress_->mutex);
  progress_->changed.wait(lock, [&] {
    if (progress_->finished) return true;
    // Handlers, which run before those who wait go on, may wait themselves.
    return progress_->status >= status && (status < Progress::kCompleted || progress_->runner == std::this_thread::get_id());
  });
}

Ref<CommandQueue> CommandBuffer::queueObject() const { return queue_; }

void CommandBuffer::executeCommands() {
  sm_device *device = device_->state();
  std::lock_guard lock(execution());
  // Encoders and command buffers are ordered, as memory that Metal tracks is.
  sm_memory_barrier(device);
  for (const Command &command : commands_) {
    if (device_->isLost() || !execute(device, command)) break;
  }
  for (size_t i = 0; i < sm_fault_count(device); ++i) {
    const sm_fault fault = sm_fault_at(device, i);
    faults_.push_back({fault.kind, fault.kernel, placeOf(fault.file), fault.message, fault.line});
    objc::record(faults_.back());
  }
  sm_clear_faults(device);
}

void CommandBuffer::call(const std::vector<void *> &handlers) {
  void *pool = objc_autoreleasePoolPush();
  for (void *handler : handlers) callBlock<void *>(handler, this);
  objc_autoreleasePoolPop(pool);
}

Ref<Error> CommandBuffer::failure() const {
  std::string text;
  for (const FaultText &fault : faults_) text += (text.empty() ? "" : "\n") + fault.describe();
  return makeError(softmetal_value_MTLCommandBufferErrorDomain.data, codeOf(faults_.front()), text);
}

void CommandBuffer::run() {
  progress_->set(Progress::kScheduled);
  call(scheduled_handlers_);
  start_ = now();
  if (faults_.empty() && !device_->isLost()) executeCommands();
  if (device_->isLost()) faults_.insert(faults_.begin(), {kLost, "", "", "the device is lost", 0});
  end_ = now();
  commands_.clear();
  if (!faults_.empty()) error_ = failure();
  progress_->set(error_ ? Progress::kError : Progress::kCompleted);
  call(completed_handlers_);
  for (void *block : std::exchange(scheduled_handlers_, {})) releaseBlock(block);
  for (void *block : std::exchange(completed_handlers_, {})) releaseBlock(block);
}

void CommandBuffer::define(Methods &methods, Methods &) {
  methods.add<&CommandBuffer::compute>("computeCommandEncoder");
  methods.add<&CommandBuffer::computeWithType>("computeCommandEncoderWithDispatchType:");
  methods.add<&CommandBuffer::blit>("blitCommandEncoder");
  methods.add<&CommandBuffer::enqueue>("enqueue");
  methods.add<&CommandBuffer::commit>("commit");
  methods.add<&CommandBuffer::addScheduledHandler>("addScheduledHandler:");
  methods.add<&CommandBuffer::addCompletedHandler>("addCompletedHandler:");
  methods.add<&CommandBuffer::waitUntilScheduled>("waitUntilScheduled");
  methods.add<&CommandBuffer::waitUntilCompleted>("waitUntilCompleted");
  methods.add<&CommandBuffer::useResidencySet>("useResidencySet:");
  methods.add<&CommandBuffer::pushDebugGroup>("pushDebugGroup:");
  methods.add<&CommandBuffer::popDebugGroup>("popDebugGroup");
  methods.add<&CommandBuffer::status>("status");
  methods.add<&CommandBuffer::error>("error");
  methods.add<&CommandBuffer::startTime>("GPUStartTime");
  methods.add<&CommandBuffer::endTime>("GPUEndTime");
  methods.add<&CommandBuffer::startTime>("kernelStartTime");
  methods.add<&CommandBuffer::endTime>("kernelEndTime");
  methods.add<&CommandBuffer::label>("label");
  methods.add<&CommandBuffer::setLabel>("setLabel:");
  methods.add<&CommandBuffer::deviceObject>("device");
  methods.add<&CommandBuffer::queueObject>("commandQueue");
  methods.add<&CommandBuffer::retainedReferences>("retainedReferences");
  methods.add<&CommandBuffer::errorOptions>("errorOptions");
}

}  // namespace softmetal::objc
