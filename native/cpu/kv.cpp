// Writes into KV caches, in place: tokens to slots, in the cache's dtype. What does not fit is an error text, and then nothing is written.
#include "blocks.h"
#include "kv_plan.h"

namespace rlx {
namespace RLX_BASE {
namespace {

// A cache and what goes into it, as vectors of `dim` values: `heads` of them are a token.
struct Write {
  const char* name;  // of the cache
  const rlx_tensor &cache, &x, &out;
  bool head, x_head;  // head-major
  KvSizes sizes;
  size_t heads, dim;
  size_t x_bytes, out_bytes;  // of a vector
};

// Checks one cache; params: 0 cache head-major, 1 x head-major, 2 ring, 3 trim; head_dim 0: not given.
const char* prepare(Write& w, const double* params, size_t head_dim, const KvPlaces& places) {
  w.head = params[0] != 0;
  w.x_head = params[1] != 0;
  const bool q8 = w.cache.dtype == RLX_Q8_0;
  RLX_REQUIRE(w.x.rank == (w.x_head ? 4 : 3) && w.cache.rank == (w.head ? 4 : 3), "cache and x: expected 3 axes, head-major 4");
  RLX_REQUIRE(is_float(w.x.dtype) && (q8 ? head_dim > 0 : is_float(w.cache.dtype)), "cache and x: expected floats, or a q8_0 cache and headDim");
  RLX_REQUIRE(same_type(w.cache, w.out), "out: expected the type of the cache");
  const size_t width = w.x_head ? extent(w.x, 1) * extent(w.x, 3) : extent(w.x, 2);
  w.sizes = {w.name, extent(w.cache, 0), extent(w.cache, w.head ? 2 : 1), extent(w.x, 0), extent(w.x, w.x_head ? 2 : 1), width, params[2] != 0, params[3] != 0};
  if (width == 0) return nullptr;
  w.dim = head_dim > 0 ? head_dim : w.x_head ? extent(w.x, 3) : w.head ? extent(w.cache, 3) : width;
  RLX_REQUIRE(w.dim > 0 && width % w.dim == 0 && (!w.x_head || w.dim == extent(w.x, 3)), "x: expected whole heads");
  w.heads = width / w.dim;
  const size_t stored = q8 ? (w.dim + 31) / 32 * 32 : w.dim;
  RLX_REQUIRE(w.head ? extent(w.cache, 1) == w.heads && extent(w.cache, 3) == stored : extent(w.cache, 2) == w.heads * stored,
              "cache: expected the heads of x");
  if (!w.head && !w.x_head && !q8) {  // a token is one run
    w.dim = width;
    w.heads = 1;
  }
  w.x_bytes = w.dim * element_bytes(w.x.dtype);
  w.out_bytes = q8 ? stored / 32 * block_bytes(RLX_Q8_0) : w.dim * element_bytes(w.cache.dtype);
  return kv_check(w.sizes, places);
}

void store_q8_0(const Write& w, uint8_t* to, size_t from) {
  for (size_t k = 0; k < w.dim; k += 32) {
    float v[32] = {};
    load_run(v, w.x.data, w.x.dtype, static_cast<int64_t>(from + k), 1, w.dim - k < 32 ? w.dim - k : 32);
    encode_q8_0(v, to + k / 32 * block_bytes(RLX_Q8_0));
  }
}

// Vectors `from` on of x to vectors `to` on of the cache.
void store_vectors(const Write& w, size_t to, size_t from, size_t count) {
  uint8_t* target = w.out.data + to * w.out_bytes;
  if (w.x.dtype == w.out.dtype) {
    memcpy(target, w.x.data + from * w.x_bytes, count * w.x_bytes);
  } else if (w.out.dtype == RLX_Q8_0) {
    for (size_t i = 0; i < count; i++) store_q8_0(w, target + i * w.out_bytes, (from + i) * w.dim);
  } else {
    with_float_class(w.x.dtype == RLX_F64 ? RLX_F64 : w.out.dtype, [&](auto zero) {
      decltype(zero) v[VALUES];
      for (size_t k = 0; k < count * w.dim; k += VALUES) {
        const size_t m = count * w.dim - k < VALUES ? count * w.dim - k : VALUES;
        load_run(v, w.x.data, w.x.dtype, static_cast<int64_t>(from * w.dim + k), 1, m);
        store_run(w.out.data, w.out.dtype, to * w.dim + k, v, m);
      }
    });
  }
}

void write(const Write& w, const KvPlaces& places, rlx_pool* pool) {
  if (w.out.data != w.cache.data) memcpy(w.out.data, w.cache.data, w.cache.bytes);
  if (w.sizes.width == 0) return;
  // Vectors of a head lie one after the other in both: a run of tokens is one copy.
  const bool dense = w.heads == 1 || (w.head && w.x_head);
  parallel_chunks(pool, w.sizes.rows * w.sizes.tokens, rows_per_task(w.sizes.width), [&](size_t begin, size_t end) {
    kv_runs(w.sizes, places, begin, end, [&](size_t row, size_t token, size_t sequence, size_t slot, size_t count) {
      const size_t step = dense ? count : 1;
      for (size_t i = 0; i < count; i += step)
        for (size_t h = 0; h < w.heads; h++)
          store_vectors(w, vector_at(w.head, w.heads, w.sizes.capacity, sequence, slot + i, h),
                        vector_at(w.x_head, w.heads, w.sizes.tokens, row, token + i, h), step);
    });
  });
}

// in: cache (token [B, cap, H D] or head [B, H, cap, D]), x (token [N, S, H D] or head [N, H, S, D]), pos, slots?, tokens?,
// srcTokOffset?; out: the cache; params: those of `prepare`, 4 headDim.
const char* kv_write(const rlx_args* args) {
  RLX_REQUIRE(given(args, 6, 1, 5, 3), "operands");
  const KvPlaces places = {args->in[2], args->in[3], args->in[4], args->in[5]};
  Write w = {"cache", args->in[0], args->in[1], args->out[0], false, false, {}, 0, 0, 0, 0};
  if (const char* wrong = prepare(w, args->params, size_param(args, 4), places)) return wrong;
  if (kv_any(w.sizes, places))
    if (const char* wrong = check_apart({{w.name, w.out}}, {{"x", w.x}})) return wrong;
  write(w, places, args->pool);
  return nullptr;
}

// in: K cache, V cache, k, v, then as kv_write; out: both caches; params: those of `prepare`, 4 headDim, 5 valueDim.
const char* kv_write_pair(const rlx_args* args) {
  RLX_REQUIRE(given(args, 8, 2, 6, 3), "operands");
  const KvPlaces places = {args->in[4], args->in[5], args->in[6], args->in[7]};
  Write k = {"kCache", args->in[0], args->in[2], args->out[0], false, false, {}, 0, 0, 0, 0};
  Write v = {"vCache", args->in[1], args->in[3], args->out[1], false, false, {}, 0, 0, 0, 0};
  if (const char* wrong = prepare(k, args->params, size_param(args, 4), places)) return wrong;
  if (const char* wrong = prepare(v, args->params, size_param(args, 5), places)) return wrong;
  if (kv_any(k.sizes, places) || kv_any(v.sizes, places))
    if (const char* wrong = check_apart({{k.name, k.out}, {v.name, v.out}}, {{"k", k.x}, {"v", v.x}})) return wrong;
  write(k, places, args->pool);
  write(v, places, args->pool);
  return nullptr;
}

inline size_t row_bytes(int32_t dtype, size_t n) {
  const size_t block = block_elements(dtype);
  return block > 0 ? n / block * block_bytes(dtype) : n * element_bytes(dtype);
}

// in: dst [..., dstCap, R], src [..., srcCap, R], end, length ([] or one per entry of the first axis); out: dst.
const char* kv_linearize_ring(const rlx_args* args) {
  RLX_REQUIRE(given(args, 4, 1, 0), "operands");
  const rlx_tensor &dst = args->in[0], &src = args->in[1], &end = args->in[2], &length = args->in[3], &out = args->out[0];
  const int32_t rank = dst.rank;
  RLX_REQUIRE(rank >= 2 && src.rank == rank && src.dtype == dst.dtype && same_type(dst, out), "dst and src: ranks or dtypes");
  for (int32_t i = 0; i < rank; i++) RLX_REQUIRE(i == rank - 2 || src.dims[i] == dst.dims[i], "src: expected the shape of dst but for axis -2");
  const size_t lanes = elements(dst, 0, rank - 2), entries = rank > 2 ? extent(dst, 0) : 1;
  const rlx_tensor* lists[] = {&end, &length};
  for (const rlx_tensor* t : lists)
    RLX_REQUIRE(is_int(t->dtype) && (t->rank == 0 || (t->rank == 1 && rank > 2 && extent(*t, 0) == entries)), "end, length: expected integers [] or one per entry");
  const size_t from_cap = extent(src, rank - 2), to_cap = extent(dst, rank - 2);
  const size_t row = row_bytes(dst.dtype, extent(dst, rank - 1));
  const size_t most = from_cap < to_cap ? from_cap : to_cap;
  bool any = false;
  for (size_t e = 0; row > 0 && lanes > 0 && e < entries; e++) {
    const int64_t n = kv_value(length, e, 0), last = kv_value(end, e, 0);
    RLX_REQUIRE(n >= 0 && static_cast<uint64_t>(n) <= most,
                rlx_message("length of entry %zu: expected 0 to %zu, the smaller one of the capacities %zu and %zu, got %" PRId64, e, most, from_cap, to_cap, n));
    RLX_REQUIRE(last >= n && last <= kMaxPosition, rlx_message("end of entry %zu: expected %" PRId64 " to %" PRId64 ", got %" PRId64, e, n, kMaxPosition, last));
    any = any || n > 0;
  }
  if (any)
    if (const char* wrong = check_apart({{"dst", out}}, {{"src", src}})) return wrong;
  if (out.data != dst.data) memcpy(out.data, dst.data, dst.bytes);
  if (!any) return nullptr;
  parallel_chunks(args->pool, lanes, rows_per_task(most * row), [&](size_t begin, size_t stop) {
    for (size_t lane = begin; lane < stop; lane++) {
      const size_t e = lane / (lanes / entries);
      const size_t n = static_cast<size_t>(kv_value(length, e, 0)), first = (static_cast<size_t>(kv_value(end, e, 0)) - n) % from_cap;
      const size_t head = from_cap - first < n ? from_cap - first : n;  // up to the wrap
      uint8_t* to = out.data + lane * to_cap * row;
      const uint8_t* from = src.data + lane * from_cap * row;
      memcpy(to, from + first * row, head * row);
      memcpy(to + head * row, from, (n - head) * row);
    }
  });
  return nullptr;
}

constexpr rlx_kernel_entry kernels[] = {{"kv_write", kv_write}, {"kv_write_pair", kv_write_pair}, {"kv_linearize_ring", kv_linearize_ring}};

}  // namespace

rlx_kernel_list kv_kernels() { return {kernels, sizeof(kernels) / sizeof(kernels[0])}; }

}  // namespace RLX_BASE
}  // namespace rlx
