#include "commands.h"

#include <cstring>

namespace softmetal::objc {
namespace {

struct Execution {
  sm_device *device;
  bool operator()(const DispatchCommand &command) const {
    ++counters().dispatches;
    return sm_run(device, &command.dispatch) == 0;
  }
  bool operator()(const BarrierCommand &command) const {
    if (command.encoded) ++counters().barriers;
    sm_memory_barrier(device);
    return true;
  }
  bool operator()(const CopyCommand &command) const {
    memmove(command.destination->contents() + command.destination_offset, command.source->contents() + command.source_offset, command.bytes);
    return true;
  }
  bool operator()(const FillCommand &command) const {
    memset(command.buffer->contents() + command.offset, command.value, command.bytes);
    return true;
  }
};

}  // namespace

bool execute(sm_device *device, const Command &command) { return std::visit(Execution{device}, command); }

}  // namespace softmetal::objc
