// What encoders record and the queue's thread executes.
#pragma once
#include <memory>
#include <variant>
#include <vector>

#include "buffer.h"
#include "library.h"

namespace softmetal::objc {

using Bytes = std::shared_ptr<const std::vector<uint8_t>>;

struct DispatchCommand {
  sm_dispatch dispatch;
  Ref<Pipeline> pipeline;
  // What `dispatch` points to.
  std::vector<Ref<Buffer>> buffers;
  std::vector<Bytes> bytes;
};
// `encoded`: by the host, not implied by the end of an encoder or a serial one.
struct BarrierCommand {
  bool encoded;
};
struct CopyCommand {
  Ref<Buffer> source, destination;
  size_t source_offset, destination_offset, bytes;
};
struct FillCommand {
  Ref<Buffer> buffer;
  size_t offset, bytes;
  uint8_t value;
};
using Command = std::variant<DispatchCommand, BarrierCommand, CopyCommand, FillCommand>;

// Executes it. False: a kernel did something wrong; the faults are in the device's log.
bool execute(sm_device *device, const Command &command);

}  // namespace softmetal::objc
