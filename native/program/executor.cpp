#include "executor.h"

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>

namespace rlx {
namespace {

// Everything is aligned for the widest vectors.
constexpr size_t ALIGNMENT = 64;
// Kernels use typed loads and stores: at least the alignment of the widest element.
bool aligned(const uint8_t* p) { return reinterpret_cast<uintptr_t>(p) % 8 == 0; }
uint8_t placeholder[ALIGNMENT];

}  // namespace

bool Executor::init(std::string& error) {
  own_.resize(program_.buffers.size());
  memory_.resize(program_.buffers.size());
  arena_ = Memory::allocate(program_.arena_bytes);
  if (!arena_) {
    error = "cannot allocate " + std::to_string(program_.arena_bytes) + " bytes for the arena";
    return false;
  }
  if (bound_.size() != program_.buffers.size()) {
    error = "expected " + std::to_string(program_.buffers.size()) + " bound buffers, got " + std::to_string(bound_.size());
    return false;
  }
  for (size_t i = 0; i < program_.buffers.size(); i++) {
    const Buffer& b = program_.buffers[i];
    if (b.kind == BufferKind::arena) memory_[i] = {arena_->data() + b.offset, b.bytes};
    if (b.kind != BufferKind::constant && b.kind != BufferKind::weight) continue;
    memory_[i] = bound_[i];
    if (bound_[i].bytes == 0 || aligned(bound_[i].data)) continue;
    // A weight inside a file lies where the file has it; kernels want it aligned.
    own_[i] = Memory::allocate(bound_[i].bytes);
    if (!own_[i]) {
      error = "cannot allocate " + std::to_string(bound_[i].bytes) + " bytes for a weight";
      return false;
    }
    std::memcpy(own_[i]->data(), bound_[i].data, bound_[i].bytes);
    memory_[i].data = own_[i]->data();
  }
  return true;
}

size_t Executor::actual_bytes(const Buffer& b) const {
  double n = 1;
  for (const Dim& d : b.shape) n *= d.eval(extents_);
  return n > 0 && n <= 9007199254740992.0 ? dtype_bytes(b.dtype, static_cast<size_t>(n)) : n > 0 ? SIZE_MAX : 0;
}

uint8_t* Executor::own(size_t index) {
  if (!own_[index]) own_[index] = Memory::allocate(program_.buffers[index].bytes);
  return own_[index] ? own_[index]->data() : nullptr;
}

bool Executor::attach(size_t index, Span given, bool stage, bool input, Failure& failure) {
  const Buffer& b = program_.buffers[index];
  const size_t needed = actual_bytes(b);
  if (needed > b.bytes || (given.data && given.bytes < needed)) {
    failure.text = std::string(input ? "input" : "output") + " buffer " + std::to_string(index) + ": expected " + std::to_string(needed) +
                   " bytes, got " + std::to_string(given.data ? given.bytes : b.bytes);
    return false;
  }
  // Memory of the device is neither moved nor changed by JavaScript while it is used, and `buffer` can show it: it needs no staging.
  const bool direct = given.data && aligned(given.data) && (!stage || Memory::find(given.data));
  uint8_t* data = needed == 0 ? placeholder : direct ? given.data : own(index);
  if (!data) {
    failure.text = "cannot allocate " + std::to_string(b.bytes) + " bytes for a buffer";
    return false;
  }
  memory_[index] = {data, needed};
  if (needed == 0 || direct || !given.data) return true;
  if (input) std::memcpy(data, given.data, needed);
  else deliveries_.push_back({index, {given.data, needed}});
  return true;
}

bool Executor::bind(const std::vector<double>& extents, const std::vector<Span>& inputs, const std::vector<Span>& outputs,
                    const std::vector<Span>& states, Staging stage, Failure& failure) {
  if (extents.size() != program_.symbols.size()) {
    failure.text = "expected " + std::to_string(program_.symbols.size()) + " extents, got " + std::to_string(extents.size());
    return false;
  }
  for (size_t i = 0; i < extents.size(); i++) {
    const SymbolDesc& s = program_.symbols[i];
    if (!(extents[i] >= s.min && extents[i] <= s.max && extents[i] == std::floor(extents[i]))) {
      failure.text = "extent " + std::to_string(i) + " is out of its bounds";
      return false;
    }
  }
  const bool same = !steps_.empty() && extents == extents_;
  extents_ = extents;
  deliveries_.clear();
  size_t in = 0, out = 0, state = 0;
  for (size_t i = 0; i < program_.buffers.size(); i++) {
    const Buffer& b = program_.buffers[i];
    if (b.kind == BufferKind::input) {
      if (in == inputs.size() || (!inputs[in].data && actual_bytes(b) > 0)) {
        failure.text = "input " + std::to_string(in) + " is missing";
        return false;
      }
      if (!attach(i, inputs[in++], stage.inputs, true, failure)) return false;
    } else if (b.kind == BufferKind::output) {
      if (!attach(i, out < outputs.size() ? outputs[out] : Span{}, stage.outputs, false, failure)) return false;
      out++;
    } else if (b.kind == BufferKind::state) {
      if (state == states.size() || states[state].bytes < b.bytes || !aligned(states[state].data)) {
        failure.text = "state " + std::to_string(state) + ": expected " + std::to_string(b.bytes) + " aligned bytes";
        return false;
      }
      memory_[i] = states[state++];
    }
  }
  if (!same || steps_.size() != program_.steps.size()) {
    steps_.assign(program_.steps.size(), {});
    for (size_t i = 0; i < program_.steps.size(); i++) {
      const StepDesc& s = program_.steps[i];
      steps_[i].in.resize(s.inputs.size());
      steps_[i].out.resize(s.outputs.size());
      for (const Dim& d : s.params) steps_[i].params.push_back(d.eval(extents_));
    }
  }
  const bool resolved = resolve_all(failure);
  if (!resolved) steps_.clear();
  return resolved;
}

bool Executor::resolve(const OperandDesc& o, rlx_tensor& t, size_t& offset, std::string& error) const {
  const Span& memory = memory_[o.buffer];
  t.dtype = o.dtype;
  t.rank = static_cast<int32_t>(o.shape.size());
  double elements = 1;
  for (size_t i = 0; i < o.shape.size(); i++) {
    const double extent = o.shape[i].eval(extents_);
    if (!(extent >= 0 && extent <= 9007199254740992.0 && extent == std::floor(extent))) {
      error = "an extent that is no size";
      return false;
    }
    t.dims[i] = static_cast<int64_t>(extent);
    elements *= extent;
  }
  const double at = o.offset.eval(extents_);
  // Doubles compare exactly up to 2^53, and anything above that is out of every buffer.
  const double bytes = elements > 9007199254740992.0 ? INFINITY : static_cast<double>(dtype_bytes(o.dtype, static_cast<size_t>(elements)));
  if (!(at >= 0 && at == std::floor(at)) || at > static_cast<double>(memory.bytes) || (!o.packed && at + bytes > static_cast<double>(memory.bytes))) {
    char text[96];
    std::snprintf(text, sizeof(text), "needs bytes [%.0f, %.0f) of a buffer of %zu", at, at + bytes, memory.bytes);
    error = text;
    return false;
  }
  offset = static_cast<size_t>(at);
  // What a packed layout needs is known to its kernel: it gets the rest of the buffer and checks that.
  t.bytes = o.packed ? memory.bytes - offset : static_cast<size_t>(bytes);
  return true;
}

bool Executor::resolve_all(Failure& failure) {
  for (size_t i = 0; i < program_.steps.size(); i++) {
    const StepDesc& s = program_.steps[i];
    const auto each = [&](const std::vector<OperandDesc>& from, std::vector<rlx_tensor>& to, const char* what) {
      for (size_t k = 0; k < from.size(); k++) {
        if (!from[k].present) continue;
        size_t offset = 0;
        std::string error;
        if (!resolve(from[k], to[k], offset, error)) {
          failure.step = static_cast<int64_t>(i);
          failure.text = std::string(what) + " " + std::to_string(k) + " " + error;
          return false;
        }
        uint8_t* base = memory_[from[k].buffer].data;
        to[k].data = base ? base + offset : placeholder;
      }
      return true;
    };
    if (!each(s.inputs, steps_[i].in, "operand") || !each(s.outputs, steps_[i].out, "output")) return false;
  }
  return true;
}

bool Executor::run(rlx_pool& pool, size_t from, size_t to, const std::atomic<bool>& cancelled, double* micros, Failure& failure) {
  using clock = std::chrono::steady_clock;
  if (steps_.size() != program_.steps.size()) {
    failure = {-1, "the program has not been bound"};
    return false;
  }
  pool.watch(&cancelled);
  bool ok = true;
  for (size_t i = from; i < to && ok; i++) {
    const StepDesc& s = program_.steps[i];
    const BoundStep& b = steps_[i];
    const auto start = micros ? clock::now() : clock::time_point();
    const rlx_args args = {b.in.data(),     b.in.size(),   b.out.data(),
                           b.out.size(),    b.params.data(), b.params.size(),
                           s.blob.data(),   s.blob.size(), arena_->data() + s.scratch_offset,
                           s.scratch_bytes, &pool};
    const char* error = cancelled.load(std::memory_order_relaxed) ? nullptr : s.run ? s.run(&args) : "is not a native step";
    if (error) {
      failure = {static_cast<int64_t>(i), error};
      ok = false;
    } else if (cancelled.load(std::memory_order_relaxed)) ok = false;
    if (micros) micros[i] = std::chrono::duration<double, std::micro>(clock::now() - start).count();
  }
  pool.watch(nullptr);
  return ok;
}

void Executor::deliver() {
  for (const Delivery& d : deliveries_) std::memcpy(d.target.data, memory_[d.buffer].data, d.target.bytes);
}

}  // namespace rlx
