// Quantized KV caches: encoding in place, decoding, and the rotation by itself. What does not fit is an error text, and then nothing is written.
#include "hadamard.h"
#include "kv_codec.h"
#include "kv_plan.h"

namespace rlx {
namespace RLX_BASE {
namespace {

// A quantized cache: packed u8 and norms f32, both [B, cap, H * each] or, head-major, [B, H, cap, each].
struct Store {
  KvCodec codec;
  bool head;
  size_t sequences, heads, capacity;
};

const char* read_store(const rlx_tensor& packed, const rlx_tensor& norms, bool head, double codec, size_t head_dim, Store* s) {
  RLX_REQUIRE(kv_codec(codec, head_dim, &s->codec), "codec: expected one that takes the head dim");
  const int32_t rank = head ? 4 : 3;
  RLX_REQUIRE(packed.dtype == RLX_U8 && norms.dtype == RLX_F32 && packed.rank == rank && norms.rank == rank, "packed and norms: ranks or dtypes");
  const size_t bytes = s->codec.packed_bytes, each = s->codec.norms;
  s->head = head;
  s->sequences = extent(packed, 0);
  s->capacity = extent(packed, head ? 2 : 1);
  s->heads = head ? extent(packed, 1) : extent(packed, 2) / bytes;
  const bool whole = head ? extent(packed, 3) == bytes && extent(norms, 3) == each && extent(norms, 1) == s->heads
                          : extent(packed, 2) == s->heads * bytes && extent(norms, 2) == s->heads * each;
  RLX_REQUIRE(whole && extent(norms, 0) == s->sequences && extent(norms, head ? 2 : 1) == s->capacity, "packed and norms: expected whole vectors of one cache");
  return nullptr;
}

struct Write {
  const char* name;  // of the codes
  const rlx_tensor &packed, &norms, &x, &packed_out, &norms_out;
  bool x_head;
  Store store;
  KvSizes sizes;
};

// params: 0 cache head-major, 1 x head-major, 2 ring, 3 trim.
const char* prepare(Write& w, const double* params, double codec, size_t head_dim, const KvPlaces& places) {
  w.x_head = params[1] != 0;
  if (const char* wrong = read_store(w.packed, w.norms, params[0] != 0, codec, head_dim, &w.store)) return wrong;
  RLX_REQUIRE(same_type(w.packed, w.packed_out) && same_type(w.norms, w.norms_out), "out: expected the types of the cache");
  RLX_REQUIRE(is_float(w.x.dtype) && w.x.rank == (w.x_head ? 4 : 3), "x: expected floats with 3 axes, head-major 4");
  const size_t width = w.store.heads * head_dim;
  RLX_REQUIRE(w.x_head ? extent(w.x, 1) == w.store.heads && extent(w.x, 3) == head_dim : extent(w.x, 2) == width, "x: expected the heads of the cache");
  w.sizes = {w.name, w.store.sequences, w.store.capacity, extent(w.x, 0), extent(w.x, w.x_head ? 2 : 1), width, params[2] != 0, params[3] != 0};
  return kv_check(w.sizes, places);
}

void keep(const rlx_tensor& from, const rlx_tensor& to) {
  if (to.data != from.data) memcpy(to.data, from.data, from.bytes);
}

void write(const Write& w, const KvPlaces& places, rlx_pool* pool) {
  keep(w.packed, w.packed_out);
  keep(w.norms, w.norms_out);
  if (!kv_any(w.sizes, places)) return;
  const KvCodec& codec = w.store.codec;
  float* norms = reinterpret_cast<float*>(w.norms_out.data);
  parallel_chunks(pool, w.sizes.rows * w.sizes.tokens, rows_per_task(w.sizes.width, 8192), [&](size_t begin, size_t end) {
    kv_runs(w.sizes, places, begin, end, [&](size_t row, size_t token, size_t sequence, size_t slot, size_t count) {
      for (size_t i = 0; i < count; i++)
        for (size_t h = 0; h < w.store.heads; h++) {
          const size_t to = vector_at(w.store.head, w.store.heads, w.sizes.capacity, sequence, slot + i, h);
          const size_t from = vector_at(w.x_head, w.store.heads, w.sizes.tokens, row, token + i, h) * codec.dim;
          float x[kMostCodecDim];
          load_run(x, w.x.data, w.x.dtype, static_cast<int64_t>(from), 1, codec.dim);
          kv_encode(codec, x, w.packed_out.data + to * codec.packed_bytes, norms + to * codec.norms);
        }
    });
  });
}

// in: packed, norms, x (token [N, S, H D] or head [N, H, S, D]), pos, slots?, tokens?, srcTokOffset?; out: packed, norms;
// params: those of `prepare`, 4 codec, 5 headDim.
const char* kv_quantize(const rlx_args* args) {
  RLX_REQUIRE(given(args, 7, 2, 6, 3), "operands");
  const rlx_tensor *in = args->in, *out = args->out;
  const KvPlaces places = {in[3], in[4], in[5], in[6]};
  Write w = {"packed", in[0], in[1], in[2], out[0], out[1], false, {}, {}};
  if (const char* wrong = prepare(w, args->params, args->params[4], size_param(args, 5), places)) return wrong;
  if (kv_any(w.sizes, places))
    if (const char* wrong = check_apart({{"packed", out[0]}, {"norms", out[1]}}, {{"x", in[2]}})) return wrong;
  write(w, places, args->pool);
  return nullptr;
}

// in: K packed and norms, V packed and norms, k, v, then as kv_quantize; out: the four; params: those of `prepare`, 4 codec and 5 head dim of K, 6 and 7 of V.
const char* kv_quantize_pair(const rlx_args* args) {
  RLX_REQUIRE(given(args, 10, 4, 8, 3), "operands");
  const rlx_tensor *in = args->in, *out = args->out;
  const KvPlaces places = {in[6], in[7], in[8], in[9]};
  Write k = {"kPacked", in[0], in[1], in[4], out[0], out[1], false, {}, {}};
  Write v = {"vPacked", in[2], in[3], in[5], out[2], out[3], false, {}, {}};
  if (const char* wrong = prepare(k, args->params, args->params[4], size_param(args, 5), places)) return wrong;
  if (const char* wrong = prepare(v, args->params, args->params[6], size_param(args, 7), places)) return wrong;
  if (kv_any(k.sizes, places) || kv_any(v.sizes, places))
    if (const char* wrong = check_apart({{"kPacked", out[0]}, {"kNorms", out[1]}, {"vPacked", out[2]}, {"vNorms", out[3]}}, {{"k", in[4]}, {"v", in[5]}}))
      return wrong;
  write(k, places, args->pool);
  write(v, places, args->pool);
  return nullptr;
}

// in: packed, norms, pos; out: f32 [B, tokens, H D]; params: 0 head-major, 1 ring, 2 codec, 3 headDim, 4 plain.
const char* kv_dequantize(const rlx_args* args) {
  RLX_REQUIRE(given(args, 3, 1, 5), "operands");
  const rlx_tensor &packed = args->in[0], &norms = args->in[1], &out = args->out[0];
  const double* params = args->params;
  Store s;
  if (const char* wrong = read_store(packed, norms, params[0] != 0, params[2], size_param(args, 3), &s)) return wrong;
  const KvCodec& codec = s.codec;
  const size_t width = s.heads * codec.dim;
  RLX_REQUIRE(out.dtype == RLX_F32 && out.rank == 3 && extent(out, 0) == s.sequences && extent(out, 2) == width, "out: expected f32 [B, tokens, H*D]");
  const rlx_tensor absent = {};
  const KvPlaces places = {args->in[2], absent, absent, absent};
  RLX_REQUIRE(s.sequences * s.heads == 0 || extent(out, 1) <= s.capacity,
              rlx_message("tokens: expected at most the %zu slots of packed, got %zu", s.capacity, extent(out, 1)));
  // Read as a write of the same positions: nothing is dropped, for there is no trim.
  const KvSizes sizes = {"packed", s.sequences, s.capacity, s.sequences, extent(out, 1), width, params[1] != 0, false};
  if (const char* wrong = kv_check(sizes, places)) return wrong;
  if (!kv_any(sizes, places)) return nullptr;
  const bool plain = params[4] != 0;
  const float* norm = reinterpret_cast<const float*>(norms.data);
  float* values = reinterpret_cast<float*>(out.data);
  parallel_chunks(args->pool, sizes.rows * sizes.tokens, rows_per_task(width), [&](size_t begin, size_t end) {
    kv_runs(sizes, places, begin, end, [&](size_t row, size_t token, size_t sequence, size_t slot, size_t count) {
      const size_t step = s.head ? s.capacity : 1;  // vectors from one head to the next
      for (size_t i = 0; i < count; i++) {
        const size_t from = vector_at(s.head, s.heads, s.capacity, sequence, slot + i, 0);
        float* to = values + (row * sizes.tokens + token + i) * width;
        kv_decode_rows(codec, packed.data + from * codec.packed_bytes, step * codec.packed_bytes, norm + from * codec.norms, step * codec.norms, s.heads, to, codec.dim);
        for (size_t h = 0; plain && h < s.heads; h++) fwht(to + h * codec.dim, codec.dim, Signs::after);
      }
    });
  });
  return nullptr;
}

// in: x f32 [..., D]; out: the same type, or the same memory; params: signs (0 none, 1 before, 2 after).
const char* fwht_rows(const rlx_args* args) {
  RLX_REQUIRE(given(args, 1, 1, 1), "operands");
  const rlx_tensor &x = args->in[0], &out = args->out[0];
  RLX_REQUIRE(x.dtype == RLX_F32 && x.rank > 0 && same_type(x, out), "x: expected f32 rows, as the output");
  const size_t n = extent(x, x.rank - 1), number = size_param(args, 0);
  RLX_REQUIRE(number <= 2 && is_hadamard(n) && (number == 0 || n <= kMostSigns), "x: expected rows of a length that there is a transform of");
  const Signs signs = number == 0 ? Signs::none : number == 1 ? Signs::before : Signs::after;
  float* to = reinterpret_cast<float*>(out.data);
  const float* from = reinterpret_cast<const float*>(x.data);
  parallel_chunks(args->pool, elements(x) / n, rows_per_task(n), [&](size_t begin, size_t end) {
    if (to != from) memcpy(to + begin * n, from + begin * n, (end - begin) * n * sizeof *to);
    for (size_t r = begin; r < end; r++) fwht(to + r * n, n, signs);
  });
  return nullptr;
}

constexpr rlx_kernel_entry kernels[] = {
    {"kv_quantize", kv_quantize}, {"kv_quantize_pair", kv_quantize_pair}, {"kv_dequantize", kv_dequantize}, {"fwht", fwht_rows}};

}  // namespace

rlx_kernel_list kv_quantize_kernels() { return {kernels, sizeof(kernels) / sizeof(kernels[0])}; }

}  // namespace RLX_BASE
}  // namespace rlx
