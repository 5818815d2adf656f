// Writes into KV caches, in place.
#include "shape.h"

namespace rlx {
namespace RLX_BASE {
namespace {

// in: cache (token [B, cap, W] or head [B, H, cap, D]), x [B, S, W], pos [] or [B]; out: the cache; params: head-major.
const char* kv_write(const rlx_args* args) {
  RLX_REQUIRE(given(args, 3, 1, 1), "operands");
  const rlx_tensor &cache = args->in[0], &x = args->in[1], &pos = args->in[2], &out = args->out[0];
  const bool head_major = args->params[0] != 0;
  RLX_REQUIRE(x.rank == 3 && cache.rank == (head_major ? 4 : 3) && is_float(x.dtype) && is_float(cache.dtype), "cache and x: ranks or dtypes");
  RLX_REQUIRE(same_type(cache, out) && is_int(pos.dtype) && pos.rank <= 1, "pos: expected integers [] or [B]");
  const size_t batch = static_cast<size_t>(x.dims[0]), rows = static_cast<size_t>(x.dims[1]), width = static_cast<size_t>(x.dims[2]);
  const size_t heads = head_major ? static_cast<size_t>(cache.dims[1]) : 1;
  const size_t capacity = static_cast<size_t>(cache.dims[head_major ? 2 : 1]), dim = static_cast<size_t>(cache.dims[cache.rank - 1]);
  RLX_REQUIRE(cache.dims[0] == x.dims[0] && heads * dim == width, "cache: expected the batch and width of x");
  RLX_REQUIRE(pos.rank == 0 || elements(pos) == batch, "pos: expected one per sequence");
  RLX_REQUIRE(rows <= capacity && (elements(pos) == 0 || indices_inside(pos, capacity - rows + 1)), "pos: the rows do not fit in the cache");
  if (out.data != cache.data) memcpy(out.data, cache.data, cache.bytes);
  const size_t unit = element_bytes(cache.dtype);
  parallel_chunks(args->pool, batch * rows, rows_per_task(width), [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; i++) {
      const size_t b = i / rows, slot = index_at(pos, pos.rank == 0 ? 0 : b) + i % rows;
      for (size_t h = 0; h < heads; h++) {
        const size_t to = ((b * heads + h) * capacity + slot) * dim, from = i * width + h * dim;
        if (x.dtype == cache.dtype) {
          memcpy(out.data + to * unit, x.data + from * unit, dim * unit);
          continue;
        }
        with_float_class(x.dtype == RLX_F64 ? RLX_F64 : cache.dtype, [&](auto zero) {
          decltype(zero) v[VALUES];
          for (size_t k = 0; k < dim; k += VALUES) {
            const size_t m = dim - k < VALUES ? dim - k : VALUES;
            load_run(v, x.data, x.dtype, static_cast<int64_t>(from + k), 1, m);
            store_run(out.data, out.dtype, to + k, v, m);
          }
        });
      }
    }
  });
  return nullptr;
}

constexpr rlx_kernel_entry entries[] = {{"kv_write", kv_write}};

}  // namespace

rlx_kernel_list kv_kernels() { return {entries, sizeof(entries) / sizeof(entries[0])}; }

}  // namespace RLX_BASE
}  // namespace rlx
