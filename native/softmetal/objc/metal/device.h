// MTLDevice: makes everything else.
#pragma once
#include <string>

#include "../foundation/error.h"
#include "testing.h"

namespace softmetal::objc {

class Buffer;
class CommandQueue;
class CompileOptions;
class Function;
class Library;
class Pipeline;
class ResidencySet;
class ResidencySetDescriptor;

struct Size {
  unsigned long width, height, depth;
};

constexpr unsigned long kMaxBufferLength = 1ul << 36;
constexpr unsigned long kMaxThreadgroupMemory = 32768;
// Under which sources are compiled and named in errors, as Apple's compiler does.
constexpr const char *kSourceName = "program_source";

class Device : public Object {
 public:
  static ClassPair objc;
  Device();
  ~Device();
  sm_device *state() const { return state_; }
  const softmetal_options &options() const { return options_; }
  bool isLost() const { return losses() != losses_; }
  // False: the limit of the configuration does not allow it.
  bool reserve(uint64_t bytes);
  void giveBack(uint64_t bytes);
  static void define(Methods &methods, Methods &class_methods);

 private:
  std::string name() const { return "software Metal, for testing"; }
  uint64_t registryId() const { return 1; }
  Size maxThreadsPerThreadgroup() const {
    const unsigned long most = options_.execution.max_threads_per_threadgroup;
    return {most, most, most};
  }
  bool no() const { return false; }
  bool yes() const { return true; }
  uint64_t recommendedMaxWorkingSetSize() const;
  unsigned long currentAllocatedSize() const { return allocated_; }
  unsigned long maxThreadgroupMemoryLength() const { return kMaxThreadgroupMemory; }
  unsigned long maxBufferLength() const { return kMaxBufferLength; }
  bool supportsFamily(long family) const;
  Ref<CommandQueue> newCommandQueue();
  Ref<CommandQueue> newCommandQueueWithCount(unsigned long max_command_buffers);
  Ref<Buffer> newBuffer(unsigned long length, unsigned long options);
  Ref<Buffer> newBufferWithBytes(const void *bytes, unsigned long length, unsigned long options);
  Ref<Buffer> newBufferWithoutCopy(void *bytes, unsigned long length, unsigned long options, void *deallocator);
  Ref<Library> newLibrary(void *source, CompileOptions *options, void *error);
  Ref<Pipeline> newPipeline(Function *function, void *error);
  Ref<ResidencySet> newResidencySet(ResidencySetDescriptor *descriptor, void *error);

  softmetal_options options_;
  sm_device *state_;
  uint64_t losses_;
  std::atomic<uint64_t> allocated_{0};
};

}  // namespace softmetal::objc
