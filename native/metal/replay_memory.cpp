// What memory a run uses: in place where the device can, else through memory of the program's own.
#include <cstring>
#include <map>

#include "replay.h"

namespace rlx::metal {

bool Replay::init(Pipelines pipelines, const std::vector<Span>& bound, DeviceMemory& memory, Failure& failure) {
  pipelines_ = std::move(pipelines);
  if (!check_pipelines(failure)) return false;
  std::vector<size_t> limits;
  for (const auto& pipeline : pipelines_) limits.push_back(device_->limits().max_threadgroup_bytes - pipeline->static_threadgroup_bytes());
  prepared_.emplace(program_, std::move(limits));

  const size_t count = program_.buffers.size();
  own_.resize(count);
  placed_.resize(count + 2);
  numbers_.resize(count + 2);
  if (!(arena_ = device_->allocate(program_.arena_bytes, name_ + " arena"))) return failure.no_memory(program_.arena_bytes, "the arena");
  if (!(status_ = device_->allocate(status_bytes(program_), name_ + " status"))) return failure.no_memory(status_bytes(program_), "the status");
  if (!(nothing_ = device_->allocate(ALIGNMENT, "nothing"))) return failure.no_memory(ALIGNMENT, "empty buffers");
  placed_[arena_source(program_)] = {arena_, 0};
  placed_[status_source(program_)] = {status_, 0};
  if (bound.size() != count)
    return failure.set(Failure::Kind::invalid, "expected " + std::to_string(count) + " bound buffers, got " + std::to_string(bound.size()));
  for (size_t i = 0; i < count; i++) {
    const Buffer& b = program_.buffers[i];
    if (b.kind == BufferKind::arena) placed_[i] = {arena_, b.offset};
    if (b.kind != BufferKind::constant && b.kind != BufferKind::weight) continue;
    if (bound[i].bytes < b.bytes)
      return failure.set(Failure::Kind::invalid, "weight in buffer " + std::to_string(i) + ": expected " + std::to_string(b.bytes) + " bytes, got " + std::to_string(bound[i].bytes));
    placed_[i] = b.bytes == 0 ? Placed{nothing_, 0} : memory.find_weight(bound[i]);
    if (placed_[i].buffer) continue;
    if (memory.holds_weight(bound[i])) return failure.no_memory(b.bytes, "a weight");
    return failure.set(Failure::Kind::invalid, "weight in buffer " + std::to_string(i) + ": expected memory of this device");
  }
  return true;
}

bool Replay::check_pipelines(Failure& failure) const {
  for (const Launch& l : program_.launches) {
    const size_t threads = l.threads.x * l.threads.y * l.threads.z, most = pipelines_[l.pipeline]->max_threads_per_threadgroup();
    if (threads > most)
      return failure.set(Failure::Kind::shader,
                         "function " + program_.pipelines[l.pipeline].function + " takes at most " + std::to_string(most) +
                             " threads per threadgroup on this device, and is launched with " + std::to_string(threads),
                         l.step);
  }
  return true;
}

bool Replay::bind(const Call& call, const DeviceMemory& memory, Failure& failure) {
  if (!prepared_->update(call.extents, failure)) return false;
  size_t in = 0, out = 0, state = 0;
  for (size_t i = 0; i < program_.buffers.size(); i++) {
    const BufferKind kind = program_.buffers[i].kind;
    if (kind == BufferKind::input) {
      if (in == call.inputs.size() || (!call.inputs[in].data && prepared_->buffer_bytes[i] > 0))
        return failure.set(Failure::Kind::invalid, "input " + std::to_string(in) + " is missing");
      if (!attach(i, call.inputs[in++], true, memory, failure)) return false;
    } else if (kind == BufferKind::output) {
      if (!attach(i, out < call.outputs.size() ? call.outputs[out] : Span{}, false, memory, failure)) return false;
      out++;
    } else if (kind == BufferKind::state) {
      if (!attach_state(i, state, state < call.states.size() ? call.states[state] : Span{}, memory, failure)) return false;
      state++;
    }
  }
  number_buffers();
  return true;
}

bool Replay::attach(size_t index, Span given, bool input, const DeviceMemory& memory, Failure& failure) {
  const size_t needed = prepared_->buffer_bytes[index];
  if (given.data && given.bytes < needed)
    return failure.set(Failure::Kind::invalid, std::string(input ? "input" : "output") + " buffer " + std::to_string(index) + ": expected " +
                                                   std::to_string(needed) + " bytes, got " + std::to_string(given.bytes));
  Placed& placed = placed_[index];
  placed = needed == 0 ? Placed{nothing_, 0} : memory.find(given);
  if (placed.buffer) return true;
  if (!own_[index]) own_[index] = device_->allocate(program_.buffers[index].bytes, name_ + (input ? " input" : " output"));
  if (!own_[index]) return failure.no_memory(program_.buffers[index].bytes, input ? "an input" : "an output");
  placed = {own_[index], 0};
  if (!given.data) return true;
  counts_.copied_bytes += static_cast<double>(needed);
  if (input) std::memcpy(own_[index]->contents(), given.data, needed);
  else deliveries_.push_back({own_[index], {given.data, needed}});
  return true;
}

bool Replay::attach_state(size_t index, size_t state, Span given, const DeviceMemory& memory, Failure& failure) {
  const size_t needed = program_.buffers[index].bytes;
  placed_[index] = needed == 0 ? Placed{nothing_, 0} : memory.find(given);
  if (placed_[index].buffer && given.bytes >= needed) return true;
  return failure.set(Failure::Kind::invalid, "state " + std::to_string(state) + ": expected " + std::to_string(needed) +
                                                 " bytes of this device's memory at a multiple of " + std::to_string(ALIGNMENT));
}

void Replay::number_buffers() {
  std::map<const GpuBuffer*, uint32_t> known;
  for (size_t i = 0; i < placed_.size(); i++) numbers_[i] = known.emplace(placed_[i].buffer.get(), static_cast<uint32_t>(known.size())).first->second;
}

}  // namespace rlx::metal
