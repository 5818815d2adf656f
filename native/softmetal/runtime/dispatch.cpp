#include "dispatch.h"

#include <algorithm>
#include <atomic>
#include <random>
#include <thread>

#include "threadgroup.h"
#include "traps.h"

namespace softmetal {

uint32_t nextInterval() {
  static std::atomic<uint32_t> last{0};
  return ++last;
}

msl_uint3 Dispatch::threadgroups() const {
  if (!grid_is_threads) return grid;
  const auto groups = [](uint32_t threads, uint32_t size) { return threads / size + (threads % size != 0); };
  const msl_uint3 &size = threads_per_threadgroup;
  return {groups(grid.x, size.x), groups(grid.y, size.y), groups(grid.z, size.z)};
}

msl_uint3 Dispatch::threads() const {
  const msl_uint3 &size = threads_per_threadgroup;
  return grid_is_threads ? grid : msl_uint3{grid.x * size.x, grid.y * size.y, grid.z * size.z};
}

msl_uint3 Dispatch::threadsAt(msl_uint3 position) const {
  const msl_uint3 &size = threads_per_threadgroup;
  if (!grid_is_threads) return size;
  return {std::min(size.x, grid.x - position.x * size.x), std::min(size.y, grid.y - position.y * size.y), std::min(size.z, grid.z - position.z * size.z)};
}

void Dispatch::report(FaultKind kind, Place place, std::string message) const {
  device.faults.add({kind, pipeline.kernel->name, std::move(place), std::move(message)});
}

namespace {

// The numbers of the threadgroups in the order in which they start; empty: 0, 1, 2...
std::vector<uint64_t> startOrder(const Options &options, uint64_t count, uint64_t seed) {
  std::vector<uint64_t> order;
  if (options.order == Order::Forward) return order;
  order.resize(count);
  for (uint64_t i = 0; i < count; ++i) order[i] = count - 1 - i;
  if (options.order == Order::Random) {
    std::mt19937_64 random(seed);
    std::shuffle(order.begin(), order.end(), random);
  }
  return order;
}

}  // namespace

void run(Dispatch &dispatch) {
  Device &device = dispatch.device;
  const msl_uint3 groups = dispatch.threadgroups();
  const uint64_t count = uint64_t(groups.x) * groups.y * groups.z, seed = device.options.seed + dispatch.id;
  const std::vector<uint64_t> order = startOrder(device.options, count, seed);
  const bool checked = dispatch.pipeline.library->checked();
  const uint64_t workers = checked ? 1 : std::clamp<uint64_t>(device.options.workers, 1, std::max<uint64_t>(count, 1));
  while (device.fibers.size() < workers) device.fibers.push_back(std::make_unique<FiberPool>());

  std::atomic<uint64_t> next{0};
  std::atomic<bool> stopped{false};
  const auto work = [&](size_t worker) {
    TrapGuard traps;
    Threadgroup threadgroup(dispatch, *device.fibers[worker], seed);
    for (uint64_t i; !stopped && (i = next++) < count;) {
      const uint64_t number = order.empty() ? i : order[i];
      const msl_uint3 position{uint32_t(number % groups.x), uint32_t(number / groups.x % groups.y), uint32_t(number / groups.x / groups.y)};
      if (!threadgroup.run(position)) stopped = true;
    }
  };
  std::vector<std::thread> threads;
  for (size_t worker = 1; worker < workers; ++worker) threads.emplace_back(work, worker);
  work(0);
  for (std::thread &thread : threads) thread.join();
}

}  // namespace softmetal
