#include "bandwidth.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>

#include "memory.h"

namespace rlx {
namespace {

constexpr size_t CHUNK = 1 << 20;
struct Pass {
  const uint8_t* data;
  std::atomic<uint64_t> sum{0};
};

// Independent sums, so that the loop waits for memory and not for its own additions.
void read_chunk(void* context, size_t index) {
  auto* pass = static_cast<Pass*>(context);
  const auto* p = reinterpret_cast<const uint64_t*>(pass->data + index * CHUNK);
  uint64_t lanes[32] = {};
  for (size_t i = 0; i < CHUNK / sizeof(uint64_t); i += 32)
    for (size_t k = 0; k < 32; k++) lanes[k] += p[i + k];
  uint64_t sum = 0;
  for (const uint64_t v : lanes) sum += v;
  pass->sum.fetch_add(sum, std::memory_order_relaxed);
}

}  // namespace

double measure_bandwidth(rlx_pool& pool, size_t bytes) {
  const size_t chunks = std::max<size_t>(1, bytes / CHUNK);
  const auto memory = Memory::allocate(chunks * CHUNK);
  if (!memory) return 0;
  std::memset(memory->data(), 1, memory->size());
  Pass pass;
  pass.data = memory->data();
  double best = 0;
  for (int i = 0; i < 5; i++) {
    const auto start = std::chrono::steady_clock::now();
    pool.run(chunks, read_chunk, &pass);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    best = std::max(best, static_cast<double>(chunks * CHUNK) / seconds);
  }
  return pass.sum.load() ? best : 0;
}

}  // namespace rlx
