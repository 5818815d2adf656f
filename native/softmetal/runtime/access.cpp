// What instrumented kernels tell about their memory accesses, and signals.
#include <algorithm>
#include <csignal>

#include "symbolize.h"
#include "threadgroup.h"
#include "traps.h"

namespace softmetal {

void *Threadgroup::variable(int id, const char *function, size_t bytes, size_t alignment) {
  void *memory = memory_.variable(id, function, bytes, alignment);
  if (memory != nullptr) return memory;
  dispatch_.report(FaultKind::Limit, {}, format("a threadgroup variable of %zu bytes does not fit, %zu bytes are in use", bytes, memory_.used()));
  stop();
}

// Memory of the runtime that kernels read: contexts, deposits, tables of bindings, their stacks, their own constants.
bool Threadgroup::isRuntimeMemory(const void *address) const {
  const auto within = [&](const void *start, size_t bytes) { return address >= start && address < static_cast<const char *>(start) + bytes; };
  return within(threads_.data(), threads_.size() * sizeof(Thread)) || within(simdgroups_.data(), simdgroups_.size() * sizeof(Simdgroup)) ||
         within(this, sizeof *this) || running().fiber->owns(address) || dispatch_.pipeline.library->owns(address);
}

void Threadgroup::reportAccess(FaultKind kind, const void *code, const std::string &message) {
  if (!dispatch_.device.faults.first(kind, reinterpret_cast<uintptr_t>(code))) return;
  // A return address is behind its call.
  dispatch_.report(kind, symbolize(static_cast<const char *>(code) - 1), message);
}

void Threadgroup::access(const void *address, size_t bytes, bool write, bool atomic, const void *code) {
  const Thread &self = running();
  const char *verb = write ? "write" : "read";
  const Phases &simd = simdgroupOf(self).barriers;
  Access now{dispatch_.device.interval, dispatch_.id, number_, 0, 0, static_cast<uint16_t>(self.index), atomic, false, false};

  if (memory_.owns(address)) {
    if (!memory_.inOneArray(address, bytes)) {
      reportAccess(FaultKind::Bounds, code, format("%s of %zu bytes beyond a threadgroup array by %s", verb, bytes, describe(self).c_str()));
      stop();
    }
    now.interval = groups_run_;  // what earlier threadgroups did in this memory does not count
    now.phase = barriers_.threadgroup;
    now.simd_phase = simd.threadgroup;
    ByteHistory *history = memory_.history(address);
    if (history == nullptr) return;
    for (size_t i = 0; !write && i < bytes; ++i) {
      if (history[i].write.interval == groups_run_) continue;
      reportAccess(FaultKind::Uninitialised, code, format("read of threadgroup memory that was never written by %s", describe(self).c_str()));
      break;
    }
    return checkRace(history, bytes, now, write, false, code);
  }
  if (isRuntimeMemory(address)) return;
  for (const Binding &binding : dispatch_.bindings) {
    if (binding.buffer == nullptr || !binding.buffer->contains(address)) continue;
    const size_t offset = static_cast<size_t>(static_cast<const uint8_t *>(address) - binding.buffer->data());
    if (bytes > binding.buffer->bytes() - offset) break;
    now.phase = barriers_.device;
    now.simd_phase = simd.device;
    ByteHistory *history = binding.buffer->history();
    if (history != nullptr) checkRace(history + offset, bytes, now, write, true, code);
    return;
  }
  const std::optional<BufferExtent> near = dispatch_.device.buffers.near(address);
  std::string message = format("%s of %zu bytes outside of every buffer by %s", verb, bytes, describe(self).c_str());
  for (size_t i = 0; near && i < dispatch_.bindings.size(); ++i) {
    if (dispatch_.bindings[i].buffer != near->buffer) continue;
    const ptrdiff_t offset = static_cast<const uint8_t *>(address) - dispatch_.bindings[i].data();
    message = format("%s of %zu bytes at offset %td of buffer(%zu), which has %zu bytes, by %s", verb, bytes, offset, i,
                     dispatch_.bindings[i].bytes(), describe(self).c_str());
    break;
  }
  reportAccess(FaultKind::Bounds, code, message);
  stop();
}

void Threadgroup::misaligned(uintptr_t address, uintptr_t alignment, const Place &place) {
  // Whatever led into the shim's own code was reported before it.
  if (place.file.find("/shim/") != std::string::npos || !dispatch_.device.faults.first(FaultKind::Bounds, place.line)) return;
  dispatch_.report(FaultKind::Bounds, place, format("an address %zu bytes beyond a multiple of %zu, which its type needs, by %s",
                                                    static_cast<size_t>(address % alignment), static_cast<size_t>(alignment), describe(running()).c_str()));
}

void Threadgroup::checkRace(ByteHistory *bytes, size_t count, const Access &now, bool write, bool device, const void *code) {
  for (size_t i = 0; i < count; ++i) {
    ByteHistory &byte = bytes[i];
    const Access *other = unordered(byte.write, now) ? &byte.write : write && unordered(byte.read, now) ? &byte.read : nullptr;
    if (other != nullptr) {
      const char *earlier = other == &byte.write ? "write" : "read";
      std::string by = format("thread %u of threadgroup %u", other->thread, other->threadgroup);
      if (other->dispatch != now.dispatch) by += ", in an earlier dispatch without a barrier between them";
      reportAccess(FaultKind::Race, code,
                   format("race in %s memory: %s by %s, %s by %s", device ? "device" : "threadgroup", write ? "write" : "read",
                          describe(running()).c_str(), earlier, by.c_str()));
    }
    if (write)
      byte.write = now;
    else
      byte.read = mergeReads(byte.read, now);
  }
}

void Threadgroup::reportTrap(const Trap &trap) {
  signalHandlerLeft();
  const Thread &thread = *std::find_if(threads_.begin(), threads_.end(), [&](const Thread &t) { return t.state == State::Running; });
  const std::string who = describe(thread);
  std::string message;
  FaultKind kind = FaultKind::Trap;
  const bool bad_address = trap.signal == SIGSEGV || trap.signal == SIGBUS;
  const std::optional<BufferExtent> near = bad_address ? dispatch_.device.buffers.near(trap.address) : std::nullopt;
  if (!bad_address && (trap.signal == SIGFPE || isDivisionTrap(trap.code))) {
    message = "integer division by zero by " + who;
  } else if (!bad_address) {
    message = "index beyond an array or a vector by " + who;
  } else if (near) {
    kind = FaultKind::Bounds;
    message = format("access at byte %td of a buffer of %zu bytes by %s", static_cast<const uint8_t *>(trap.address) - near->data, near->bytes, who.c_str());
  } else if (thread.fiber->owns(trap.address)) {
    kind = FaultKind::Limit;
    message = "stack overflow by " + who;
  } else {
    kind = FaultKind::Bounds;
    message = "access outside of every buffer by " + who;
  }
  dispatch_.report(kind, symbolize(trap.code), message);
}

}  // namespace softmetal
