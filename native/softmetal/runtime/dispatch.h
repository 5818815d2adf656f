// One dispatch: what is bound, how the grid is cut into threadgroups, in which order and by how many workers they run.
#pragma once
#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "fiber.h"
#include "library.h"
#include "memory.h"
#include "report.h"

namespace softmetal {

enum class Order { Forward, Reverse, Random };

struct Options {
  Order order = Order::Forward;
  uint64_t seed = 1;
  uint32_t workers = 1;
  uint32_t max_threads_per_threadgroup = 1024;
};

// The number of a time between memory barriers, which no other device has either: buffers of one may be bound by another.
uint32_t nextInterval();

// State that outlives a dispatch.
struct Device {
  Options options;
  FaultLog faults;
  BufferList buffers;
  std::vector<std::unique_ptr<FiberPool>> fibers;  // per worker
  uint32_t interval = nextInterval();              // between memory barriers
  uint32_t dispatches = 0;
};

struct Binding {
  const Buffer *buffer = nullptr;  // nullptr: nothing is bound
  size_t offset = 0;
  uint8_t *data() const { return buffer == nullptr ? nullptr : buffer->data() + offset; }
  size_t bytes() const { return buffer == nullptr || offset > buffer->bytes() ? 0 : buffer->bytes() - offset; }
};

struct Dispatch {
  Device &device;
  const Pipeline &pipeline;
  std::array<Binding, MSL_BINDINGS> bindings{};
  std::array<uint32_t, MSL_BINDINGS> threadgroup_bytes{};
  msl_uint3 grid{1, 1, 1};
  bool grid_is_threads = false;
  msl_uint3 threads_per_threadgroup{1, 1, 1};
  uint32_t id = 0;

  msl_uint3 threadgroups() const;
  msl_uint3 threads() const;
  // The size of the threadgroup at this position: smaller at the edge of a grid of threads.
  msl_uint3 threadsAt(msl_uint3 position) const;
  void report(FaultKind kind, Place place, std::string message) const;
};

// Reports what Metal's validation would; false: the dispatch must not run.
bool validate(const Dispatch &dispatch);

// Runs all threadgroups, unless a fault stops them.
void run(Dispatch &dispatch);

}  // namespace softmetal
