// The kernel `attention`.
//   in: q [B, Sq, H*D], k, v (token [B, Skv, Hkv*D] or head [B, Hkv, Skv, D]), mask, qPos, kvLen, sinks; the last four may be absent
//   out: [B, Sq, H*Dv]
//   params: numHeads, numKvHeads, headDim, scale, softcap (0: none), window (0: none), causal, keep (the mask is one of kept keys), head-major
//   scratch: room for the partials of short calls (see attention.ts); without it they run unsplit, with the same results
#include <initializer_list>

#include "attention.h"
#include "families.h"
#include "shape.h"
#include "simd_math.h"

namespace rlx {
namespace RLX_ISA {
namespace {

constexpr int64_t kFarthest = int64_t{1} << 53;  // position, so that sums of positions do not overflow

size_t extent(const rlx_tensor& t, int32_t axis) { return static_cast<size_t>(t.dims[axis]); }

// A scalar, or the value of sequence b.
int64_t integer(const rlx_tensor& t, size_t b) {
  int64_t v;
  RLX_BASE::load_run(&v, t.data, t.dtype, t.rank == 0 ? 0 : static_cast<int64_t>(b), 1, 1);
  return v;
}

struct Call {
  Attention a;
  size_t tiles;  // of rows, per key head
  size_t ranges;
  float* partials;  // one record per task when ranges are split
};

HeadRows head_rows(const Attention& a, const rlx_tensor& t, size_t b, size_t h, size_t dim) {
  const size_t width = dim * float_bytes(t.dtype);
  const size_t row = a.head_major ? (b * a.kv_heads + h) * a.slots : b * a.slots * a.kv_heads + h;
  return {t.data + row * width, t.dtype, a.head_major ? width : a.kv_heads * width, dim};
}

int64_t kv_length(const Attention& a, size_t b) { return a.kv_len ? integer(*a.kv_len, b) : static_cast<int64_t>(a.slots); }

void prepare_rows(const Attention& a, size_t b, size_t kv_head, size_t first, Rows& rows) {
  const size_t group = a.heads / a.kv_heads;
  const size_t all = a.queries * group;
  const int64_t length = kv_length(a, b);
  const int64_t start = a.q_pos ? integer(*a.q_pos, b) : length - static_cast<int64_t>(a.queries);
  rows.count = all - first < kRowTile ? all - first : kRowTile;
  rows.q_stride = round_lanes(a.dim);
  rows.lowest = SIZE_MAX;
  rows.highest = 0;
  for (size_t r = 0; r < rows.count; r++) {
    const size_t query = (first + r) / group;
    const size_t head = kv_head * group + (first + r) % group;
    float* q = rows.q + r * rows.q_stride;
    const size_t at = ((b * a.queries + query) * a.heads + head) * a.dim;
    to_f32(a.q->dtype, a.q->data + at * float_bytes(a.q->dtype), a.dim, q);
    for (size_t d = a.dim; d < rows.q_stride; d++) q[d] = 0.0f;
    const int64_t position = start + static_cast<int64_t>(query);
    int64_t low = a.window ? position - a.window + 1 : 0;
    int64_t high = a.causal && position + 1 < length ? position + 1 : length;
    if (low < 0) low = 0;
    if (high < low) high = low;
    rows.low[r] = static_cast<size_t>(low);
    rows.high[r] = static_cast<size_t>(high);
    const size_t* strides = a.mask.strides;
    rows.mask[r] = b * strides[0] + head * strides[1] + query * strides[2];
    if (low == high) continue;
    if (rows.low[r] < rows.lowest) rows.lowest = rows.low[r];
    if (rows.high[r] > rows.highest) rows.highest = rows.high[r];
  }
}

// Divides by the sums, with the sinks in them, and stores.
void finish_row(const Attention& a, size_t b, size_t kv_head, size_t row, float max, float sum, float* values) {
  const size_t group = a.heads / a.kv_heads;
  const size_t head = kv_head * group + row % group;
  if (max != -INFINITY && a.sinks) {
    float sink;
    to_f32(a.sinks->dtype, a.sinks->data + head * float_bytes(a.sinks->dtype), 1, &sink);
    const float top = sink > max ? sink : max;
    const float keep = exp1(max - top);
    sum = sum * keep + exp1(sink - top);
    for (size_t d = 0; d < a.value_dim; d++) values[d] *= keep;
  }
  const float divisor = max == -INFINITY ? 1.0f : sum;
  for (size_t d = 0; d < a.value_dim; d++) values[d] /= divisor;
  const size_t at = ((b * a.queries + row / group) * a.heads + head) * a.value_dim;
  from_f32(a.out->dtype, values, a.value_dim, a.out->data + at * float_bytes(a.out->dtype));
}

void tile_task(void* context, size_t index) {
  const Call& c = *static_cast<const Call*>(context);
  const Attention& a = c.a;
  const size_t first = index % c.tiles * kRowTile;
  const size_t kv_head = index / c.tiles % a.kv_heads;
  const size_t b = index / c.tiles / a.kv_heads;
  Rows rows;
  prepare_rows(a, b, kv_head, first, rows);
  const HeadRows keys = head_rows(a, *a.k, b, kv_head, a.dim);
  const HeadRows values = head_rows(a, *a.v, b, kv_head, a.value_dim);
  const size_t stride = round_lanes(a.value_dim);
  Partial all, part;
  clear(all, rows.count, stride);
  for (size_t range = rows.lowest / kRange * kRange; range < rows.highest; range += kRange) {
    attend_range(a, rows, keys, values, range, part);
    for (size_t r = 0; r < rows.count; r++)
      merge_row(all.max[r], all.sum[r], all.values + r * stride, part.max[r], part.sum[r], part.values + r * stride, stride);
  }
  for (size_t r = 0; r < rows.count; r++) finish_row(a, b, kv_head, first + r, all.max[r], all.sum[r], all.values + r * stride);
}

// A partial in scratch: per row the maximum, the sum, then the values.
size_t record_stride(const Attention& a) { return round_lanes(a.value_dim) + 2; }

void range_task(void* context, size_t index) {
  const Call& c = *static_cast<const Call*>(context);
  const Attention& a = c.a;
  const size_t group = index / c.ranges;
  const size_t range = index % c.ranges * kRange;
  const size_t kv_head = group % a.kv_heads;
  const size_t b = group / a.kv_heads;
  Rows rows;
  prepare_rows(a, b, kv_head, 0, rows);
  const size_t stride = round_lanes(a.value_dim);
  float* record = c.partials + index * rows.count * record_stride(a);
  if (range >= rows.highest || range + kRange <= rows.lowest) {
    for (size_t r = 0; r < rows.count; r++) record[r * record_stride(a)] = -INFINITY;
    return;
  }
  Partial part;
  attend_range(a, rows, head_rows(a, *a.k, b, kv_head, a.dim), head_rows(a, *a.v, b, kv_head, a.value_dim), range, part);
  for (size_t r = 0; r < rows.count; r++) {
    float* to = record + r * record_stride(a);
    to[0] = part.max[r];
    to[1] = part.sum[r];
    memcpy(to + 2, part.values + r * stride, stride * sizeof(float));
  }
}

void merge_task(void* context, size_t index) {
  const Call& c = *static_cast<const Call*>(context);
  const Attention& a = c.a;
  const size_t rows = a.queries * (a.heads / a.kv_heads);
  const size_t group = index / rows;
  const size_t row = index % rows;
  float max = -INFINITY, sum = 0.0f;
  float values[kMaxDim] = {};
  for (size_t i = 0; i < c.ranges; i++) {
    const float* from = c.partials + ((group * c.ranges + i) * rows + row) * record_stride(a);
    merge_row(max, sum, values, from[0], from[1], from + 2, round_lanes(a.value_dim));
  }
  finish_row(a, group / a.kv_heads, group % a.kv_heads, row, max, sum, values);
}

// Which of batch, head, query and key axis i of a mask is. A keep mask [B, Skv] is the same for all heads and queries.
size_t mask_axis(const rlx_tensor& t, bool keep, int32_t i) {
  return keep && t.rank == 2 ? (i == 0 ? 0 : 3) : static_cast<size_t>(4 - t.rank + i);
}

Mask mask_of(const rlx_tensor* t, bool keep) {
  Mask m{t, keep, {0, 0, 0, 0}};
  if (!t) return m;
  size_t stride = 1;
  for (int32_t i = t->rank - 1; i >= 0; i--) {
    if (t->dims[i] != 1) m.strides[mask_axis(*t, keep, i)] = stride;
    stride *= extent(*t, i);
  }
  return m;
}

bool has_shape(const rlx_tensor& t, std::initializer_list<size_t> dims) {
  if (!t.data || t.rank != static_cast<int32_t>(dims.size())) return false;
  const int64_t* d = t.dims;
  for (const size_t extent : dims)
    if (static_cast<size_t>(*d++) != extent) return false;
  return true;
}
bool is_position(const rlx_tensor* t, size_t batch) {
  return !t || (RLX_BASE::is_int(t->dtype) && (t->rank == 0 || has_shape(*t, {batch})));
}

// Operands of the shapes that `a` says.
const char* check(const Attention& a) {
  const auto cache = [&](const rlx_tensor& t, size_t dim) {
    return is_vector_float(t.dtype) &&
           (a.head_major ? has_shape(t, {a.batch, a.kv_heads, a.slots, dim}) : has_shape(t, {a.batch, a.slots, a.kv_heads * dim}));
  };
  if (!has_shape(*a.q, {a.batch, a.queries, a.heads * a.dim}) || !is_vector_float(a.q->dtype)) return "attention: q: expected floats [B, Sq, H*D]";
  if (!cache(*a.k, a.dim)) return "attention: k: expected floats of the heads";
  if (!cache(*a.v, a.value_dim)) return "attention: v: expected floats of the heads";
  if (!has_shape(*a.out, {a.batch, a.queries, a.heads * a.value_dim}) || !is_vector_float(a.out->dtype)) return "attention: output: expected floats [B, Sq, H*Dv]";
  if (!is_position(a.q_pos, a.batch) || !is_position(a.kv_len, a.batch)) return "attention: qPos or kvLen: expected an integer, or one per sequence";
  if (a.sinks && (!has_shape(*a.sinks, {a.heads}) || !is_vector_float(a.sinks->dtype))) return "attention: sinks: expected floats [H]";
  if (const rlx_tensor* m = a.mask.tensor) {
    if (a.mask.keep ? m->dtype != RLX_BOOL : !is_vector_float(m->dtype)) return "attention: mask: dtype";
    const size_t extents[] = {a.batch, a.heads, a.queries, a.slots};
    for (int32_t i = 0; i < m->rank; i++)
      if (m->dims[i] != 1 && extent(*m, i) != extents[mask_axis(*m, a.mask.keep, i)]) return "attention: mask: expected a shape that broadcasts";
  }
  return nullptr;
}

const char* attention(const rlx_args* args) {
  if (args->n_in < 3 || args->n_out != 1 || args->n_params < 9) return "attention: operands";
  const auto optional = [&](size_t i) { return i < args->n_in && args->in[i].data ? &args->in[i] : nullptr; };
  const double* p = args->params;
  Call c{};
  Attention& a = c.a;
  a.q = &args->in[0];
  a.k = &args->in[1];
  a.v = &args->in[2];
  a.out = args->out;
  a.q_pos = optional(4);
  a.kv_len = optional(5);
  a.sinks = optional(6);
  a.head_major = p[8] != 0;
  if (a.q->rank != 3 || a.k->rank != (a.head_major ? 4 : 3) || a.out->rank != 3) return "attention: operands: ranks";
  const rlx_tensor* mask = optional(3);
  if (mask && mask->rank > 4) return "attention: mask: more than 4 axes";
  a.mask = mask_of(mask, p[7] != 0);
  a.batch = extent(*a.q, 0);
  a.queries = extent(*a.q, 1);
  a.heads = RLX_BASE::size_param(args, 0);
  a.kv_heads = RLX_BASE::size_param(args, 1);
  a.dim = RLX_BASE::size_param(args, 2);
  if (a.kv_heads == 0 || a.heads == 0 || a.heads % a.kv_heads != 0) return "attention: numHeads: expected a multiple of numKvHeads";
  a.scale = static_cast<float>(p[3]);
  a.softcap = static_cast<float>(p[4]);
  a.window = static_cast<int64_t>(RLX_BASE::size_param(args, 5));
  a.causal = p[6] != 0;
  a.slots = extent(*a.k, a.head_major ? 2 : 1);
  a.value_dim = extent(*a.out, 2) / a.heads;
  if (a.dim > kMaxDim || a.value_dim > kMaxDim) return "attention: heads are too wide";
  if (const char* error = check(a)) return error;
  size_t longest = 0;
  for (size_t b = 0; b < a.batch; b++) {
    const int64_t n = kv_length(a, b);
    if (n < 0 || static_cast<size_t>(n) > a.slots) return "attention: kvLen is out of range";
    if (a.q_pos && (integer(*a.q_pos, b) < -kFarthest || integer(*a.q_pos, b) > kFarthest)) return "attention: qPos is out of range";
    if (static_cast<size_t>(n) > longest) longest = static_cast<size_t>(n);
  }
  const size_t groups = a.batch * a.kv_heads;
  const size_t rows = a.queries * (a.heads / a.kv_heads);
  if (groups * rows * a.value_dim == 0) return nullptr;
  c.ranges = (longest + kRange - 1) / kRange;
  c.tiles = (rows + kRowTile - 1) / kRowTile;
  const bool room = args->scratch_bytes >= groups * c.ranges * rows * record_stride(a) * sizeof(float);
  if (c.tiles == 1 && c.ranges > 1 && room) {
    c.partials = reinterpret_cast<float*>(args->scratch);
    rlx_parallel(args->pool, groups * c.ranges, range_task, &c);
    rlx_parallel(args->pool, groups * rows, merge_task, &c);
  } else {
    rlx_parallel(args->pool, groups * c.tiles, tile_task, &c);
  }
  return nullptr;
}

const rlx_kernel_entry kKernels[] = {{"attention", attention}};

}  // namespace

rlx_kernel_list attention_kernels() { return {kKernels, sizeof kKernels / sizeof *kKernels}; }

}  // namespace RLX_ISA
}  // namespace rlx
