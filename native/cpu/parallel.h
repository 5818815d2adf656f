// rlx_parallel with a C++ callable.
#pragma once
#include "kernel.h"

namespace rlx {
namespace RLX_ISA {

// body(begin, end) over [0, total) in chunks of `chunk`; chunks do not depend on the number of threads.
template <class F>
inline void parallel_chunks(rlx_pool* pool, size_t total, size_t chunk, const F& body) {
  if (total == 0) return;
  struct Context {
    const F* body;
    size_t total, chunk;
  };
  Context context = {&body, total, chunk == 0 ? 1 : chunk};
  const size_t count = (total + context.chunk - 1) / context.chunk;
  rlx_parallel(
      pool, count,
      [](void* p, size_t index) {
        const Context& c = *static_cast<const Context*>(p);
        const size_t begin = index * c.chunk;
        (*c.body)(begin, c.total - begin < c.chunk ? c.total : begin + c.chunk);
      },
      &context);
}

}  // namespace RLX_ISA
}  // namespace rlx
