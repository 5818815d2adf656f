#include "testing.h"

#include <deque>
#include <mutex>

#include "../core/misuse.h"
#include "../core/object.h"

namespace softmetal::objc {
namespace {

struct State {
  std::mutex mutex;
  softmetal_options options{{SM_FORWARD, 1, 1, 1024}, 0, 0};
  std::deque<FaultText> faults;  // references stay valid while it grows
  std::atomic<uint64_t> losses{0};
  Counters counters;
};
// Never destroyed: objects may outlive static ones.
State &state() {
  static State &all = *new State;
  return all;
}

}  // namespace

std::string FaultText::describe() const {
  std::string text = kind;
  if (!kernel.empty()) text += ", kernel " + kernel;
  if (!file.empty()) text += ", " + file + ":" + std::to_string(line);
  return text + ": " + message;
}

FaultText misuse(std::string message) { return {"misuse", "", "", std::move(message), 0}; }

void record(const FaultText &fault) {
  State &all = state();
  std::lock_guard lock(all.mutex);
  all.faults.push_back(fault);
}

void reportMisuse(const std::string &message) { record(misuse(message)); }

Counters &counters() { return state().counters; }

softmetal_options configuration() {
  State &all = state();
  std::lock_guard lock(all.mutex);
  return all.options;
}

uint64_t losses() { return state().losses; }

}  // namespace softmetal::objc

using namespace softmetal::objc;
#define API extern "C" __attribute__((visibility("default")))

API void softmetal_configure(const softmetal_options *options) {
  State &all = state();
  std::lock_guard lock(all.mutex);
  all.options = *options;
}

API void softmetal_lose_devices(void) { ++state().losses; }

API softmetal_counters softmetal_count(void) {
  const Counters &c = counters();
  return {objectsAlive(), c.buffers, c.command_buffers, c.bytes, c.committed, c.dispatches, c.barriers, c.libraries};
}

API size_t softmetal_fault_count(void) {
  State &all = state();
  std::lock_guard lock(all.mutex);
  return all.faults.size();
}

API sm_fault softmetal_fault_at(size_t index) {
  State &all = state();
  std::lock_guard lock(all.mutex);
  const FaultText &fault = all.faults.at(index);
  return {fault.kind.c_str(), fault.kernel.c_str(), fault.file.c_str(), fault.line, fault.message.c_str()};
}

API void softmetal_clear_faults(void) {
  State &all = state();
  std::lock_guard lock(all.mutex);
  all.faults.clear();
}
