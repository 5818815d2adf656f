// MTLComputeCommandEncoder and MTLBlitCommandEncoder: check what the host asks for, and record it.
#pragma once
#include <array>

#include "command_buffer.h"

namespace softmetal::objc {

struct Range {
  unsigned long location, length;
};

// What the two have in common.
class Encoder : public Object {
 public:
  Encoder(const ClassPair &pair, CommandBuffer &command_buffer) : Object(pair), command_buffer_(&command_buffer) {}

 protected:
  ~Encoder();
  static void defineCommon(Methods &methods);
  void fail(const std::string &message) { command_buffer_->fail(message); }
  // False after endEncoding, with a report.
  bool active(const char *method);
  Ref<CommandBuffer> command_buffer_;

 private:
  void endEncoding();
  void insertDebugSignpost(void *) {}
  void pushDebugGroup(void *);
  void popDebugGroup();
  Ref<Device> device() const { return Ref(&command_buffer_->device()); }
  std::string label() const { return label_; }
  void setLabel(std::string label) { label_ = std::move(label); }
  std::string label_;
  unsigned long groups_ = 0;
  bool ended_ = false;
};

class ComputeEncoder : public Encoder {
 public:
  static ClassPair objc;
  // `dispatch_type`: MTLDispatchType
  ComputeEncoder(CommandBuffer &command_buffer, unsigned long dispatch_type) : Encoder(objc, command_buffer), dispatch_type_(dispatch_type) {}
  static void define(Methods &methods, Methods &class_methods);

 private:
  static constexpr unsigned long kConcurrent = 1;
  bool indexAllowed(const char *method, unsigned long index);
  unsigned long dispatchType() const { return dispatch_type_; }
  void setPipeline(Pipeline *pipeline);
  void setBytes(const void *bytes, unsigned long length, unsigned long index);
  void setBuffer(Buffer *buffer, unsigned long offset, unsigned long index);
  void setBufferOffset(unsigned long offset, unsigned long index);
  void setThreadgroupMemory(unsigned long length, unsigned long index);
  void dispatchThreadgroups(Size grid, Size threadgroup) { dispatch("dispatchThreadgroups", grid, threadgroup, false); }
  void dispatchThreads(Size grid, Size threadgroup) { dispatch("dispatchThreads", grid, threadgroup, true); }
  void dispatch(const char *method, Size grid, Size threadgroup, bool grid_is_threads);
  void memoryBarrier(unsigned long scope);

  struct Binding {
    Ref<Buffer> buffer;
    unsigned long offset = 0;
    Bytes bytes;
  };
  unsigned long dispatch_type_;
  Ref<Pipeline> pipeline_;
  std::array<Binding, SM_MAX_BINDINGS> bindings_;
  std::array<uint32_t, SM_MAX_BINDINGS> threadgroup_bytes_{};
};

class BlitEncoder : public Encoder {
 public:
  static ClassPair objc;
  explicit BlitEncoder(CommandBuffer &command_buffer) : Encoder(objc, command_buffer) {}
  static void define(Methods &methods, Methods &class_methods);

 private:
  void copy(Buffer *source, unsigned long source_offset, Buffer *destination, unsigned long destination_offset, unsigned long bytes);
  void fill(Buffer *buffer, Range range, uint8_t value);
};

}  // namespace softmetal::objc
