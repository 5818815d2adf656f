#include "encoder.h"

#include "../core/misuse.h"

namespace softmetal::objc {
namespace {

bool inside(unsigned long offset, unsigned long bytes, const Buffer &buffer) { return offset <= buffer.length() && bytes <= buffer.length() - offset; }

std::string number(unsigned long value) { return std::to_string(value); }

}  // namespace

ClassPair ComputeEncoder::objc{"MTLComputeCommandEncoder", rootClass(), Storage::Counted, &ComputeEncoder::define, destroy<ComputeEncoder>};
ClassPair BlitEncoder::objc{"MTLBlitCommandEncoder", rootClass(), Storage::Counted, &BlitEncoder::define, destroy<BlitEncoder>};

Encoder::~Encoder() {
  if (!ended_) fail("an encoder was released without endEncoding");
}

bool Encoder::active(const char *method) {
  if (ended_) fail(std::string(method) + " after endEncoding");
  return !ended_;
}

void Encoder::endEncoding() {
  if (!active("endEncoding")) return;
  if (groups_ > 0) fail("endEncoding with " + number(groups_) + " debug groups that were not popped");
  ended_ = true;
  command_buffer_->record(BarrierCommand{false});
  command_buffer_->encoderEnded();
}

void Encoder::pushDebugGroup(void *) {
  if (active("pushDebugGroup")) ++groups_;
}

void Encoder::popDebugGroup() {
  if (!active("popDebugGroup")) return;
  if (groups_ == 0) return fail("popDebugGroup without pushDebugGroup");
  --groups_;
}

void Encoder::defineCommon(Methods &methods) {
  methods.add<&Encoder::endEncoding>("endEncoding");
  methods.add<&Encoder::insertDebugSignpost>("insertDebugSignpost:");
  methods.add<&Encoder::pushDebugGroup>("pushDebugGroup:");
  methods.add<&Encoder::popDebugGroup>("popDebugGroup");
  methods.add<&Encoder::device>("device");
  methods.add<&Encoder::label>("label");
  methods.add<&Encoder::setLabel>("setLabel:");
}

bool ComputeEncoder::indexAllowed(const char *method, unsigned long index) {
  if (!active(method)) return false;
  if (index >= SM_MAX_BINDINGS) fail(std::string(method) + ": index " + number(index) + " is beyond 30");
  return index < SM_MAX_BINDINGS;
}

void ComputeEncoder::setPipeline(Pipeline *pipeline) {
  if (!active("setComputePipelineState")) return;
  if (pipeline == nullptr) return fail("setComputePipelineState: the pipeline is nil");
  pipeline_ = pipeline;
}

void ComputeEncoder::setBytes(const void *bytes, unsigned long length, unsigned long index) {
  if (!indexAllowed("setBytes", index)) return;
  if (bytes == nullptr || length == 0 || length > 4096) return fail("setBytes: " + number(length) + " bytes, expected 1 to 4096");
  const auto *start = static_cast<const uint8_t *>(bytes);
  bindings_[index] = {nullptr, 0, std::make_shared<std::vector<uint8_t>>(start, start + length)};
}

void ComputeEncoder::setBuffer(Buffer *buffer, unsigned long offset, unsigned long index) {
  if (!indexAllowed("setBuffer", index)) return;
  if (buffer != nullptr && offset >= buffer->length())
    return fail("setBuffer: offset " + number(offset) + " at index " + number(index) + " is beyond the buffer's " + number(buffer->length()) + " bytes");
  bindings_[index] = {buffer, offset, nullptr};
}

void ComputeEncoder::setBufferOffset(unsigned long offset, unsigned long index) {
  if (!indexAllowed("setBufferOffset", index)) return;
  if (!bindings_[index].buffer) return fail("setBufferOffset: no buffer is bound at index " + number(index));
  setBuffer(Ref(bindings_[index].buffer).get(), offset, index);
}

void ComputeEncoder::setThreadgroupMemory(unsigned long length, unsigned long index) {
  if (!indexAllowed("setThreadgroupMemoryLength", index)) return;
  if (length % 16 != 0) return fail("setThreadgroupMemoryLength: " + number(length) + " bytes are not a multiple of 16");
  if (length > kMaxThreadgroupMemory)
    return fail("setThreadgroupMemoryLength: " + number(length) + " bytes, allowed are " + number(kMaxThreadgroupMemory));
  threadgroup_bytes_[index] = static_cast<uint32_t>(length);
}

void ComputeEncoder::dispatch(const char *method, Size grid, Size threadgroup, bool grid_is_threads) {
  if (!active(method)) return;
  const std::string name = method;
  if (!pipeline_) return fail(name + " without a pipeline state");
  for (const unsigned long extent : {grid.width, grid.height, grid.depth, threadgroup.width, threadgroup.height, threadgroup.depth})
    if (extent == 0 || extent > UINT32_MAX) return fail(name + ": an extent is " + number(extent));
  // Two extents of 32 bits do not overflow; the third is compared with what is left.
  const unsigned long most = pipeline_->maxThreads(), area = threadgroup.width * threadgroup.height;
  if (area > most || threadgroup.depth > most / area)
    return fail(name + ": " + number(threadgroup.width) + " x " + number(threadgroup.height) + " x " + number(threadgroup.depth) +
                " threads per threadgroup, the pipeline allows " + number(most));
  DispatchCommand command{};
  command.pipeline = pipeline_;
  command.dispatch.pipeline = pipeline_->pipeline();
  for (size_t i = 0; i < bindings_.size(); ++i) {
    const Binding &binding = bindings_[i];
    if (binding.buffer) {
      command.buffers.push_back(binding.buffer);
      command.dispatch.bindings[i] = {binding.buffer->memory(), binding.offset, nullptr, 0};
    } else if (binding.bytes) {
      command.bytes.push_back(binding.bytes);
      command.dispatch.bindings[i] = {nullptr, 0, binding.bytes->data(), binding.bytes->size()};
    }
    command.dispatch.threadgroup_bytes[i] = threadgroup_bytes_[i];
  }
  const auto size = [](Size s) { return sm_size{static_cast<uint32_t>(s.width), static_cast<uint32_t>(s.height), static_cast<uint32_t>(s.depth)}; };
  command.dispatch.grid = size(grid);
  command.dispatch.grid_is_threads = grid_is_threads;
  command.dispatch.threads_per_threadgroup = size(threadgroup);
  command_buffer_->record(std::move(command));
  if (dispatch_type_ != kConcurrent) command_buffer_->record(BarrierCommand{false});
}

void ComputeEncoder::memoryBarrier(unsigned long scope) {
  constexpr unsigned long buffers = 1;
  if (!active("memoryBarrierWithScope")) return;
  if (scope & buffers) command_buffer_->record(BarrierCommand{true});
}

void ComputeEncoder::define(Methods &methods, Methods &) {
  defineCommon(methods);
  methods.add<&ComputeEncoder::dispatchType>("dispatchType");
  methods.add<&ComputeEncoder::setPipeline>("setComputePipelineState:");
  methods.add<&ComputeEncoder::setBytes>("setBytes:length:atIndex:");
  methods.add<&ComputeEncoder::setBuffer>("setBuffer:offset:atIndex:");
  methods.add<&ComputeEncoder::setBufferOffset>("setBufferOffset:atIndex:");
  methods.add<&ComputeEncoder::setThreadgroupMemory>("setThreadgroupMemoryLength:atIndex:");
  methods.add<&ComputeEncoder::dispatchThreadgroups>("dispatchThreadgroups:threadsPerThreadgroup:");
  methods.add<&ComputeEncoder::dispatchThreads>("dispatchThreads:threadsPerThreadgroup:");
  methods.add<&ComputeEncoder::memoryBarrier>("memoryBarrierWithScope:");
}

void BlitEncoder::copy(Buffer *source, unsigned long source_offset, Buffer *destination, unsigned long destination_offset, unsigned long bytes) {
  if (!active("copyFromBuffer")) return;
  if (source == nullptr || destination == nullptr) return fail("copyFromBuffer: a buffer is nil");
  if (bytes == 0 || !inside(source_offset, bytes, *source) || !inside(destination_offset, bytes, *destination))
    return fail("copyFromBuffer: " + number(bytes) + " bytes at " + number(source_offset) + " of " + number(source->length()) + " to " +
                number(destination_offset) + " of " + number(destination->length()));
  command_buffer_->record(CopyCommand{source, destination, source_offset, destination_offset, bytes});
}

void BlitEncoder::fill(Buffer *buffer, Range range, uint8_t value) {
  if (!active("fillBuffer")) return;
  if (buffer == nullptr) return fail("fillBuffer: the buffer is nil");
  if (range.length == 0 || !inside(range.location, range.length, *buffer))
    return fail("fillBuffer: " + number(range.length) + " bytes at " + number(range.location) + " of " + number(buffer->length()));
  command_buffer_->record(FillCommand{buffer, range.location, range.length, value});
}

void BlitEncoder::define(Methods &methods, Methods &) {
  defineCommon(methods);
  methods.add<&BlitEncoder::copy>("copyFromBuffer:sourceOffset:toBuffer:destinationOffset:size:");
  methods.add<&BlitEncoder::fill>("fillBuffer:range:value:");
}

}  // namespace softmetal::objc
