// A GPU as the replay of programs sees it. The .mm files beside it are the only ones that know of Metal; they throw nothing.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace rlx {

enum class GpuFailure { none, out_of_memory, device_lost, fault };

struct GpuError {
  GpuFailure kind = GpuFailure::none;
  std::string text;
};

struct GpuLimits {
  size_t max_buffer_bytes;
  size_t max_threadgroup_bytes;
  size_t working_set_bytes;  // what the system recommends to use at most
};

// Memory that both the CPU and the GPU address. It goes when the last reference is dropped; runs keep what they use.
class GpuBuffer {
 public:
  virtual ~GpuBuffer() = default;
  virtual uint8_t* contents() const = 0;
  virtual size_t length() const = 0;
};

struct GpuSize {
  size_t x, y, z;
};

class GpuPipeline {
 public:
  virtual ~GpuPipeline() = default;
  // These depend on how many registers the function takes.
  virtual size_t max_threads_per_threadgroup() const = 0;
  virtual size_t static_threadgroup_bytes() const = 0;
};

struct GpuConstant {
  enum class Type : uint8_t { boolean, uint, sint, real };  // 4 bytes each, but for `boolean`
  uint32_t index;
  Type type;
  uint32_t bits;
};

// Compiled source. Pipelines are made once per function and constants; on any thread, several at the same time.
class GpuLibrary {
 public:
  virtual ~GpuLibrary() = default;
  // NULL: see `error`.
  virtual std::shared_ptr<GpuPipeline> pipeline(const std::string& function, const std::vector<GpuConstant>& constants, std::string& error) = 0;
};

// How a command buffer ended. Times in seconds, on the GPU's clock.
struct GpuCompletion {
  GpuError error;
  double start = 0, end = 0;
};

// One command buffer with one concurrent encoder: launches may overlap unless a barrier lies between them. Command buffers of a device run in the
// order of their commits. What is dropped before its commit never runs.
class GpuCommands {
 public:
  virtual ~GpuCommands() = default;
  virtual void set_pipeline(const GpuPipeline& pipeline) = 0;
  virtual void set_buffer(size_t index, const GpuBuffer& buffer, size_t offset) = 0;
  // Copied; at most 4096 bytes.
  virtual void set_bytes(size_t index, const void* data, size_t bytes) = 0;
  // A multiple of 16.
  virtual void set_threadgroup_bytes(size_t index, size_t bytes) = 0;
  virtual void dispatch_threadgroups(GpuSize threadgroups, GpuSize threads_per_threadgroup) = 0;
  // The last threadgroup of an axis may be smaller.
  virtual void dispatch_threads(GpuSize threads, GpuSize threads_per_threadgroup) = 0;
  // What was encoded before is done, and its writes are visible, before what follows begins.
  virtual void barrier() = 0;
  // Names what is encoded until `pop_label` in captures and reports.
  virtual void push_label(const std::string& label) = 0;
  virtual void pop_label() = 0;
  // Once; nothing can be encoded afterwards. `done` is called on a thread of the system.
  virtual void commit(std::function<void(const GpuCompletion&)> done) = 0;
};

class GpuDevice {
 public:
  virtual ~GpuDevice() = default;
  // The system's device. NULL: see `error`.
  static std::shared_ptr<GpuDevice> open(std::string& error);
  // What the system makes in passing while `body` runs goes at its end: for threads that are not the system's own.
  static void pool(const std::function<void()>& body);

  virtual const std::string& name() const = 0;
  virtual GpuLimits limits() const = 0;
  // Zeroed; NULL when there is no memory left.
  virtual std::shared_ptr<GpuBuffer> allocate(size_t bytes, const std::string& label) = 0;
  // Memory of the caller, without a copy: whole pages. `owner` is released when neither the CPU nor the GPU uses the buffer any more.
  virtual std::shared_ptr<GpuBuffer> wrap(void* data, size_t bytes, std::shared_ptr<const void> owner, const std::string& label) = 0;
  // Metal source, compiled once as long as somebody uses it; on any thread, several at the same time. NULL: `error` has the compiler's diagnostics.
  virtual std::shared_ptr<GpuLibrary> library(const std::string& label, const std::string& source, std::string& error) = 0;
  // NULL when the device takes no more work.
  virtual std::unique_ptr<GpuCommands> commands(const std::string& label) = 0;
};

}  // namespace rlx
