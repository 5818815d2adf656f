// Slices along an axis by index.
#include "blocks.h"
#include "shape.h"

namespace rlx {
namespace RLX_BASE {
namespace {

// Bytes of `n` elements (whole blocks).
size_t bytes_of(int32_t dtype, size_t n) {
  const size_t block = block_elements(dtype);
  return block > 0 ? n / block * block_bytes(dtype) : n * element_bytes(dtype);
}

// in: x, indices; params: axis.
const char* gather(const rlx_args* args) {
  RLX_REQUIRE(given(args, 2, 1, 1), "operands");
  const rlx_tensor &x = args->in[0], &indices = args->in[1], &out = args->out[0];
  const int32_t axis = axis_param(args, 0, x.rank);
  RLX_REQUIRE(axis >= 0 && x.dtype == out.dtype && is_int(indices.dtype), "indices: expected integers, output: the dtype of x");
  RLX_REQUIRE(block_elements(x.dtype) == 0 || axis < x.rank - 1, "axis: expected one before the blocks");
  const Lanes l = lanes(x, axis);
  const size_t count = elements(indices), slab = bytes_of(x.dtype, l.inner);
  RLX_REQUIRE(out.bytes == l.outer * count * slab, "output: expected a slice per index");
  if (const char* wrong = check_indices(indices, l.length)) return wrong;
  parallel_chunks(args->pool, l.outer * count, rows_per_task(slab / 4), [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; i++)
      memcpy(out.data + i * slab, x.data + (i / count * l.length + index_at(indices, i % count)) * slab, slab);
  });
  return nullptr;
}

// in: x, indices, updates; params: axis, add. In order: the last update of a slice wins.
const char* scatter(const rlx_args* args) {
  RLX_REQUIRE(given(args, 3, 1, 2), "operands");
  const rlx_tensor &x = args->in[0], &indices = args->in[1], &updates = args->in[2], &out = args->out[0];
  const int32_t axis = axis_param(args, 0, x.rank);
  RLX_REQUIRE(axis >= 0 && same_type(x, out) && updates.dtype == x.dtype && is_int(indices.dtype) && element_bytes(x.dtype) > 0, "operands: dtypes");
  const bool add = args->params[1] != 0;
  RLX_REQUIRE(!add || is_int(x.dtype) || x.dtype == RLX_F32 || x.dtype == RLX_F64, "x: expected f32, f64 or integers to add to");
  const Lanes l = lanes(x, axis);
  const size_t count = elements(indices), unit = element_bytes(x.dtype), slab = l.inner * unit;
  RLX_REQUIRE(elements(updates) == l.outer * count * l.inner, "updates: expected a slice per index");
  if (const char* wrong = check_indices(indices, l.length)) return wrong;
  if (out.data != x.data) memcpy(out.data, x.data, x.bytes);
  parallel_chunks(args->pool, l.outer, rows_per_task(count * l.inner), [&](size_t begin, size_t end) {
    for (size_t o = begin; o < end; o++)
      for (size_t j = 0; j < count; j++) {
        const size_t to = (o * l.length + index_at(indices, j)) * l.inner, from = (o * count + j) * l.inner;
        if (!add) {
          memcpy(out.data + to * unit, updates.data + from * unit, slab);
          continue;
        }
        with_class(x.dtype, [&](auto zero) {
          using T = decltype(zero);
          T a[VALUES], b[VALUES];
          for (size_t i = 0; i < l.inner; i += VALUES) {
            const size_t m = l.inner - i < VALUES ? l.inner - i : VALUES;
            load_run(a, out.data, out.dtype, static_cast<int64_t>(to + i), 1, m);
            load_run(b, updates.data, updates.dtype, static_cast<int64_t>(from + i), 1, m);
            if constexpr (class_dtype<T>() == RLX_I64)
              for (size_t k = 0; k < m; k++) a[k] = static_cast<int64_t>(static_cast<uint64_t>(a[k]) + static_cast<uint64_t>(b[k]));
            else
              for (size_t k = 0; k < m; k++) a[k] += b[k];
            store_run(out.data, out.dtype, to + i, a, m);
          }
        });
      }
  });
  return nullptr;
}

constexpr rlx_kernel_entry entries[] = {{"gather", gather}, {"scatter", scatter}};

}  // namespace

rlx_kernel_list gather_kernels() { return {entries, sizeof(entries) / sizeof(entries[0])}; }

}  // namespace RLX_BASE
}  // namespace rlx
