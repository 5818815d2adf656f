// Rows of a table by id, and whole weights as floats.
#include "blocks.h"
#include "shape.h"

namespace rlx {
namespace RLX_BASE {
namespace {

// n elements of a weight from element `from` on (a block boundary) to elements [to, to + n) of a float tensor.
void convert_weight(const rlx_tensor& w, size_t from, const rlx_tensor& out, size_t to, size_t n) {
  const size_t block = block_elements(w.dtype);
  if (block > 0) {
    float v[256];
    const uint8_t* p = w.data + from / block * block_bytes(w.dtype);
    for (size_t i = 0; i < n; i += block, p += block_bytes(w.dtype)) {
      decode_block(w.dtype, p, v);
      store_run(out.data, out.dtype, to + i, v, block);
    }
    return;
  }
  with_float_class(w.dtype, [&](auto zero) {
    decltype(zero) v[VALUES];
    for (size_t i = 0; i < n; i += VALUES) {
      const size_t m = n - i < VALUES ? n - i : VALUES;
      load_run(v, w.data, w.dtype, static_cast<int64_t>(from + i), 1, m);
      store_run(out.data, out.dtype, to + i, v, m);
    }
  });
}

bool is_weight(int32_t dtype) { return is_float(dtype) || block_elements(dtype) > 0; }
bool whole_blocks(const rlx_tensor& w) {
  const size_t block = block_elements(w.dtype);
  return block == 0 || (w.rank > 0 && static_cast<size_t>(w.dims[w.rank - 1]) % block == 0);
}

// in: table [V, D], ids [...]; out: [..., D].
const char* embedding(const rlx_args* args) {
  RLX_REQUIRE(given(args, 2, 1, 0), "operands");
  const rlx_tensor &table = args->in[0], &ids = args->in[1], &out = args->out[0];
  RLX_REQUIRE(table.rank == 2 && is_weight(table.dtype) && whole_blocks(table), "table: expected a weight [V, D] of whole blocks");
  RLX_REQUIRE(is_float(out.dtype) && is_int(ids.dtype), "ids: expected integers, output: floats");
  const size_t width = static_cast<size_t>(table.dims[1]), rows = elements(ids);
  RLX_REQUIRE(elements(out) == rows * width, "output: expected a row per id");
  if (const char* wrong = check_indices(ids, static_cast<size_t>(table.dims[0]))) return wrong;
  parallel_chunks(args->pool, rows, rows_per_task(width), [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; i++) convert_weight(table, index_at(ids, i) * width, out, i * width, width);
  });
  return nullptr;
}

// in: w; out: its values.
const char* dequantize(const rlx_args* args) {
  RLX_REQUIRE(given(args, 1, 1, 0), "operands");
  const rlx_tensor &w = args->in[0], &out = args->out[0];
  RLX_REQUIRE(is_weight(w.dtype) && whole_blocks(w) && is_float(out.dtype) && same_shape(w, out), "output: expected floats in the shape of w");
  // A multiple of every block size.
  parallel_chunks(args->pool, elements(w), 16384, [&](size_t begin, size_t end) { convert_weight(w, begin, out, begin, end - begin); });
  return nullptr;
}

constexpr rlx_kernel_entry entries[] = {{"embedding", embedding}, {"dequantize", dequantize}};

}  // namespace

rlx_kernel_list embedding_kernels() { return {entries, sizeof(entries) / sizeof(entries[0])}; }

}  // namespace RLX_BASE
}  // namespace rlx
