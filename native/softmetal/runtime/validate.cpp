#include <algorithm>

#include "dispatch.h"

namespace softmetal {
namespace {

class Validation {
 public:
  explicit Validation(const Dispatch &dispatch) : dispatch_(dispatch) {}

  bool run() {
    size();
    for (const msl_argument &argument : dispatch_.pipeline.kernel->arguments) {
      if (argument.guard >= 0 && !dispatch_.pipeline.enabled(argument.guard)) continue;
      if (argument.kind == MSL_BUFFER) buffer(argument);
      if (argument.kind == MSL_THREADGROUP && dispatch_.threadgroup_bytes[static_cast<size_t>(argument.index)] == 0)
        fault(FaultKind::Binding, format("threadgroup(%d): no length was set", argument.index));
    }
    for (uint32_t i = 0; i < MSL_BINDINGS; ++i) {
      const Binding &binding = dispatch_.bindings[i];
      if (binding.buffer != nullptr && binding.offset > binding.buffer->bytes())
        fault(FaultKind::Binding, format("buffer(%u): offset %zu is beyond the buffer's %zu bytes", i, binding.offset, binding.buffer->bytes()));
      if (dispatch_.threadgroup_bytes[i] % 16 != 0)
        fault(FaultKind::Binding, format("threadgroup(%u): length %u is not a multiple of 16", i, dispatch_.threadgroup_bytes[i]));
    }
    return valid_;
  }

 private:
  void fault(FaultKind kind, std::string message) {
    valid_ = false;
    dispatch_.report(kind, {}, std::move(message));
  }

  void size() {
    const msl_uint3 size = dispatch_.threads_per_threadgroup;
    const uint64_t threads = uint64_t(size.x) * size.y * size.z;
    const uint32_t most = std::min(dispatch_.pipeline.kernel->max_threads, dispatch_.device.options.max_threads_per_threadgroup);
    if (threads == 0 || threads > most)
      fault(FaultKind::Limit, format("%llu threads per threadgroup, allowed are 1 to %u", static_cast<unsigned long long>(threads), most));
  }

  void buffer(const msl_argument &argument) {
    const Binding &binding = dispatch_.bindings[static_cast<size_t>(argument.index)];
    if (binding.buffer == nullptr) {
      fault(FaultKind::Binding, format("buffer(%d): nothing is bound", argument.index));
    } else if (binding.bytes() < argument.min_bytes) {
      fault(FaultKind::Binding,
            format("buffer(%d): %zu bytes are bound, the argument's type has %u", argument.index, binding.bytes(), argument.min_bytes));
    } else if (reinterpret_cast<uintptr_t>(binding.data()) % alignmentOf(argument) != 0) {
      fault(FaultKind::Binding, format("buffer(%d): offset %zu is not a multiple of %u, which the argument's type needs", argument.index, binding.offset,
                                       alignmentOf(argument)));
    }
  }

  static uint32_t alignmentOf(const msl_argument &argument) {
    return argument.mode == MSL_CONSTANT_SPACE ? std::max(4u, argument.alignment) : argument.alignment;
  }

  const Dispatch &dispatch_;
  bool valid_ = true;
};

}  // namespace

bool validate(const Dispatch &dispatch) { return Validation(dispatch).run(); }

}  // namespace softmetal
