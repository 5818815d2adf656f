// The kernel `attention`.
//   in: q [B, Sq, H*D], k, v (token [B', Skv, Hkv*D] or head [B', Hkv, Skv, D]; floats, q8_0 or codes), mask, qPos, kvLen, sinks, ringStart,
//       slots, kNorms, vNorms; those from the mask on may be absent
//   out: [B, Sq, H*Dv]
//   params: numHeads, numKvHeads, headDim, scale, softcap (0: none), window (0: none), causal, keep (the mask is one of kept keys), head-major,
//           the codecs of k and v (0: none)
//   scratch: room for queries and partials of short calls (see attention.ts); without it they run unsplit, with the same results
#include <initializer_list>

#include "attention.h"
#include "families.h"
#include "hadamard.h"
#include "shape.h"
#include "simd_math.h"

namespace rlx {
namespace RLX_ISA {
namespace {

constexpr int64_t kFarthest = int64_t{1} << 53;  // position, so that sums of positions do not overflow

using RLX_BASE::extent;

// A scalar, or the value of batch row b; the default when it is absent.
int64_t integer(const rlx_tensor* t, size_t b, int64_t otherwise) {
  if (!t) return otherwise;
  int64_t v;
  RLX_BASE::load_run(&v, t->data, t->dtype, t->rank == 0 ? 0 : static_cast<int64_t>(b), 1, 1);
  return v;
}
int64_t kv_length(const Attention& a, size_t b) { return integer(a.kv_len, b, static_cast<int64_t>(a.capacity)); }

struct Call {
  Attention a;
  size_t tiles;           // of rows, per key head
  size_t ranges;
  size_t splits, heads;   // key heads in `splits` tasks of `heads` each
  float* queries;         // of all rows in lane order, when ranges are split
  float* records;         // by batch row, key head, range, row
};

// Rows [first, first + kRowTile) of a key head.
void see_rows(const Attention& a, size_t b, size_t first, Rows& rows) {
  const size_t group = a.heads / a.kv_heads;
  const size_t all = a.queries * group;
  const int64_t length = kv_length(a, b);
  const int64_t start = integer(a.q_pos, b, length - static_cast<int64_t>(a.queries));
  rows.count = all - first < kRowTile ? all - first : kRowTile;
  rows.ring_start = static_cast<size_t>(integer(a.ring_start, b, 0));
  rows.lowest = SIZE_MAX;
  rows.highest = 0;
  for (size_t r = 0; r < rows.count; r++) {
    const int64_t position = start + static_cast<int64_t>((first + r) / group);
    int64_t low = a.window ? position - a.window + 1 : 0;
    int64_t high = a.causal && position + 1 < length ? position + 1 : length;
    if (low < 0) low = 0;
    if (high < low) high = low;
    rows.low[r] = static_cast<size_t>(low);
    rows.high[r] = static_cast<size_t>(high);
    if (low == high) continue;
    if (rows.low[r] < rows.lowest) rows.lowest = rows.low[r];
    if (rows.high[r] > rows.highest) rows.highest = rows.high[r];
  }
}

// The query of a row, in the domain and the order of the keys.
void prepare_query(const Attention& a, size_t b, size_t kv_head, size_t row, float* to) {
  const size_t group = a.heads / a.kv_heads, dim = a.keys.dim;
  const size_t at = ((b * a.queries + row / group) * a.heads + kv_head * group + row % group) * dim;
  float natural[kMaxDim];
  to_f32(a.q->dtype, a.q->data + at * float_bytes(a.q->dtype), dim, natural);
  if (is_rotated(a.keys)) RLX_BASE::fwht(natural, dim, RLX_BASE::Signs::before);
  to_lanes(a.keys, natural, to);
}

// Divides by the sum, with the sink in it, rotates back and stores.
void finish_row(const Attention& a, size_t b, size_t kv_head, size_t row, const Records& records, size_t i) {
  const size_t group = a.heads / a.kv_heads, dim = a.values.dim;
  const size_t head = kv_head * group + row % group;
  float max = records.max(i), sum = records.sum(i), keep = 1.0f;
  if (max != -INFINITY && a.sinks) {
    float sink;
    to_f32(a.sinks->dtype, a.sinks->data + head * float_bytes(a.sinks->dtype), 1, &sink);
    const float top = sink > max ? sink : max;
    keep = exp1(max - top);
    sum = sum * keep + exp1(sink - top);
  }
  float natural[kMaxDim];
  from_lanes(a.values, records.values(i), natural);
  for (size_t d = 0; d < dim; d++) natural[d] = max == -INFINITY ? 0.0f : natural[d] * keep / sum;
  if (is_rotated(a.values) && max != -INFINITY) RLX_BASE::fwht(natural, dim, RLX_BASE::Signs::after);
  const size_t at = ((b * a.queries + row / group) * a.heads + head) * dim;
  from_f32(a.out->dtype, natural, dim, a.out->data + at * float_bytes(a.out->dtype));
}

constexpr size_t kRecord = kMaxWidth + kRecordTail;

void tile_task(void* context, size_t index) {
  const Call& c = *static_cast<const Call*>(context);
  const Attention& a = c.a;
  const size_t first = index % c.tiles * kRowTile;
  const size_t kv_head = index / c.tiles % a.kv_heads;
  const size_t b = index / c.tiles / a.kv_heads;
  Rows rows;
  see_rows(a, b, first, rows);
  alignas(64) float queries[kRowTile * kMaxWidth];
  for (size_t r = 0; r < rows.count; r++) prepare_query(a, b, kv_head, first + r, queries + r * a.keys.width);
  alignas(64) float all_data[kRowTile * kRecord], part_data[kRowTile * kRecord];
  const Records all{all_data, a.values.width}, part{part_data, a.values.width};
  for (size_t r = 0; r < rows.count; r++) clear(all, r);
  const RangeTask task{&a, &rows, queries, b, kv_head, 1, first};
  for (size_t range = rows.lowest / kRange * kRange; range < rows.highest; range += kRange) {
    attend_range(task, range, part);
    for (size_t r = 0; r < rows.count; r++) merge(all, r, part, r);
  }
  for (size_t r = 0; r < rows.count; r++) finish_row(a, b, kv_head, first + r, all, r);
}

size_t row_count(const Attention& a) { return a.queries * (a.heads / a.kv_heads); }
size_t record_floats(const Attention& a) { return a.values.width + kRecordTail; }

void query_task(void* context, size_t index) {
  const Call& c = *static_cast<const Call*>(context);
  const size_t rows = row_count(c.a);
  const size_t group = index / rows;
  prepare_query(c.a, group / c.a.kv_heads, group % c.a.kv_heads, index % rows, c.queries + index * c.a.keys.width);
}

void range_task(void* context, size_t index) {
  const Call& c = *static_cast<const Call*>(context);
  const Attention& a = c.a;
  const size_t range = index % c.ranges;
  const size_t head = index / c.ranges % c.splits * c.heads;
  const size_t b = index / c.ranges / c.splits;
  Rows rows;
  see_rows(a, b, 0, rows);
  const size_t heads = a.kv_heads - head < c.heads ? a.kv_heads - head : c.heads;
  // Records of a range lie together, those of its heads one behind the other.
  const Records records{c.records + ((b * c.ranges + range) * a.kv_heads + head) * rows.count * record_floats(a), a.values.width};
  if (range * kRange >= rows.highest || (range + 1) * kRange <= rows.lowest) {
    for (size_t i = 0; i < heads * rows.count; i++) records.max(i) = -INFINITY;
    return;
  }
  const RangeTask task{&a, &rows, c.queries + (b * a.kv_heads + head) * rows.count * a.keys.width, b, head, heads, 0};
  attend_range(task, range * kRange, records);
}

void merge_task(void* context, size_t index) {
  const Call& c = *static_cast<const Call*>(context);
  const Attention& a = c.a;
  const size_t rows = row_count(a), per_range = a.kv_heads * rows;
  const size_t b = index / per_range, i = index % per_range;
  alignas(64) float data[kRecord];
  const Records all{data, a.values.width};
  clear(all, 0);
  for (size_t range = 0; range < c.ranges; range++)
    merge(all, 0, Records{c.records + (b * c.ranges + range) * per_range * record_floats(a), a.values.width}, i);
  finish_row(a, b, i / rows, i % rows, all, 0);
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

size_t round_up(size_t n, size_t step) { return (n + step - 1) / step * step; }

// False when there is no such side.
bool describe(Side& s, const rlx_tensor* data, const rlx_tensor* norms, double codec, size_t dim) {
  s.data = data;
  s.norms = norms;
  s.dim = dim;
  s.width = round_up(dim, kLanes);
  if (codec != 0) {
    if (data->dtype != RLX_U8 || !norms || !RLX_BASE::kv_codec(codec, dim, &s.codec)) return false;
    s.form = kReadsNibbles && s.codec.width == 4 ? Form::nibbles : Form::codes;
    if (s.form == Form::nibbles) s.width = round_up(dim, 2 * kLanes);
    s.row_bytes = s.codec.packed_bytes;
    s.norm_factor = 1.0f / s.codec.norm_scale;
    return true;
  }
  if (norms) return false;
  if (data->dtype == RLX_Q8_0) {
    s.form = Form::q8;
    s.width = round_up(dim, 2 * kLanes);
    s.row_bytes = (dim + 31) / 32 * 34;
    return true;
  }
  s.form = data->dtype == RLX_F16 ? Form::f16 : data->dtype == RLX_BF16 ? Form::bf16 : Form::f32;
  s.row_bytes = dim * float_bytes(data->dtype);
  return is_vector_float(data->dtype);
}

bool is_cache(const Attention& a, const Side& s, size_t sequences) {
  const auto has = [&](const rlx_tensor& t, size_t width) {
    return a.head_major ? has_shape(t, {sequences, a.kv_heads, a.capacity, width}) : has_shape(t, {sequences, a.capacity, a.kv_heads * width});
  };
  const size_t elements = s.form == Form::q8 ? round_up(s.dim, 32) : s.norms ? s.codec.packed_bytes : s.dim;
  return has(*s.data, elements) && (!s.norms || (s.norms->dtype == RLX_F32 && has(*s.norms, s.codec.norms)));
}

// Operands of the shapes that `a` says.
const char* check(const Attention& a) {
  const size_t sequences = a.sequences ? extent(*a.keys.data, 0) : a.batch;
  if (!has_shape(*a.q, {a.batch, a.queries, a.heads * a.keys.dim}) || !is_vector_float(a.q->dtype)) return "q: expected floats [B, Sq, H*D]";
  if (!is_cache(a, a.keys, sequences)) return "k: expected vectors of the heads";
  if (!is_cache(a, a.values, sequences)) return "v: expected vectors of the heads";
  if (!has_shape(*a.out, {a.batch, a.queries, a.heads * a.values.dim}) || !is_vector_float(a.out->dtype)) return "output: expected floats [B, Sq, H*Dv]";
  for (const rlx_tensor* t : {a.q_pos, a.kv_len, a.ring_start})
    if (!is_position(t, a.batch)) return "qPos, kvLen, ringStart: expected an integer, or one per sequence";
  if (a.sequences && (a.sequences->rank == 0 || !is_position(a.sequences, a.batch))) return "slots: expected one integer per sequence";
  if (a.sinks && (!has_shape(*a.sinks, {a.heads}) || !is_vector_float(a.sinks->dtype))) return "sinks: expected floats [H]";
  if (const rlx_tensor* m = a.mask.tensor) {
    if (a.mask.keep ? m->dtype != RLX_BOOL : !is_vector_float(m->dtype)) return "mask: dtype";
    const size_t extents[] = {a.batch, a.heads, a.queries, a.capacity};
    for (int32_t i = 0; i < m->rank; i++)
      if (m->dims[i] != 1 && extent(*m, i) != extents[mask_axis(*m, a.mask.keep, i)]) return "mask: expected a shape that broadcasts";
  }
  const int64_t capacity = static_cast<int64_t>(a.capacity), last = capacity > 0 ? capacity - 1 : 0, last_sequence = static_cast<int64_t>(sequences) - 1;
  for (size_t b = 0; b < a.batch; b++) {
    const auto outside = [b](const char* name, int64_t least, int64_t most, int64_t value) -> const char* {
      if (value >= least && value <= most) return nullptr;
      return rlx_message("%s of sequence %zu: expected %" PRId64 " to %" PRId64 ", got %" PRId64, name, b, least, most, value);
    };
    if (const char* wrong = outside("kvLen", 0, capacity, kv_length(a, b))) return wrong;
    if (const char* wrong = outside("ringStart", 0, last, integer(a.ring_start, b, 0))) return wrong;
    if (const char* wrong = outside("qPos", -kFarthest, kFarthest, integer(a.q_pos, b, 0))) return wrong;
    if (const char* wrong = outside("slots", 0, last_sequence, integer(a.sequences, b, 0))) return wrong;
  }
  return nullptr;
}

// Attributes and operands; shapes are not yet checked.
const char* read(const rlx_args* args, Attention& a) {
  if (args->n_in < 3 || args->n_out != 1 || args->n_params < 11) return "operands";
  const auto optional = [&](size_t i) { return i < args->n_in && args->in[i].data ? &args->in[i] : nullptr; };
  const double* p = args->params;
  const rlx_tensor *k = &args->in[1], *v = &args->in[2];
  a.q = &args->in[0];
  a.out = args->out;
  a.q_pos = optional(4);
  a.kv_len = optional(5);
  a.sinks = optional(6);
  a.ring_start = optional(7);
  a.sequences = optional(8);
  a.head_major = p[8] != 0;
  if (a.q->rank != 3 || k->rank != (a.head_major ? 4 : 3) || a.out->rank != 3) return "operands: ranks";
  const rlx_tensor* mask = optional(3);
  if (mask && mask->rank > 4) return "mask: more than 4 axes";
  a.mask = mask_of(mask, p[7] != 0);
  a.batch = extent(*a.q, 0);
  a.queries = extent(*a.q, 1);
  a.heads = RLX_BASE::size_param(args, 0);
  a.kv_heads = RLX_BASE::size_param(args, 1);
  if (a.kv_heads == 0 || a.heads == 0 || a.heads % a.kv_heads != 0) return "numHeads: expected a multiple of numKvHeads";
  a.scale = static_cast<float>(p[3]);
  a.softcap = static_cast<float>(p[4]);
  a.window = static_cast<int64_t>(RLX_BASE::size_param(args, 5));
  a.causal = p[6] != 0;
  a.capacity = extent(*k, a.head_major ? 2 : 1);
  const size_t dim = RLX_BASE::size_param(args, 2), value_dim = extent(*a.out, 2) / a.heads;
  if (dim > kMaxDim || value_dim > kMaxDim) return "heads are too wide";
  if (!describe(a.keys, k, optional(9), p[9], dim)) return "k: expected floats, q8_0, or codes and norms";
  if (!describe(a.values, v, optional(10), p[10], value_dim)) return "v: expected floats, q8_0, or codes and norms";
  return check(a);
}

const char* attention(const rlx_args* args) {
  Call c{};
  Attention& a = c.a;
  if (const char* error = read(args, a)) return error;
  const size_t rows = row_count(a), groups = a.batch * a.kv_heads;
  if (groups * rows * a.values.dim == 0) return nullptr;
  size_t longest = 0;
  for (size_t b = 0; b < a.batch; b++)
    if (static_cast<size_t>(kv_length(a, b)) > longest) longest = static_cast<size_t>(kv_length(a, b));
  c.ranges = (longest + kRange - 1) / kRange;
  c.tiles = (rows + kRowTile - 1) / kRowTile;
  const size_t query_floats = groups * rows * a.keys.width;
  const bool room = args->scratch_bytes >= (query_floats + groups * c.ranges * rows * record_floats(a)) * sizeof(float);
  if (c.tiles > 1 || c.ranges < 2 || !room) {
    rlx_parallel(args->pool, groups * c.tiles, tile_task, &c);
    return nullptr;
  }
  c.queries = reinterpret_cast<float*>(args->scratch);
  c.records = c.queries + query_floats;
  // All heads of a token-major cache lie together, so one task takes them; those of a head-major one lie apart.
  c.heads = a.head_major ? 1 : kTaskRows / rows < a.kv_heads ? kTaskRows / rows : a.kv_heads;
  c.splits = (a.kv_heads + c.heads - 1) / c.heads;
  rlx_parallel(args->pool, groups * rows, query_task, &c);
  rlx_parallel(args->pool, a.batch * c.ranges * c.splits, range_task, &c);
  rlx_parallel(args->pool, groups * rows, merge_task, &c);
  return nullptr;
}

const rlx_kernel_entry kKernels[] = {{"attention", attention}};

}  // namespace

bool is_rotated(const Side& s) { return s.norms; }

void to_lanes(const Side& s, const float* natural, float* x) {
  if (s.form != Form::nibbles) {
    memcpy(x, natural, s.dim * sizeof *x);
    for (size_t d = s.dim; d < s.width; d++) x[d] = 0.0f;
    return;
  }
  for (size_t v = 0; v < s.width / kLanes; v++)
    for (size_t i = 0; i < kLanes; i++) {
      const size_t d = v / 2 * 2 * kLanes + i * 2 + v % 2;
      x[v * kLanes + i] = d < s.dim ? natural[d] : 0.0f;
    }
}

void from_lanes(const Side& s, const float* x, float* natural) {
  if (s.form != Form::nibbles) {
    memcpy(natural, x, s.dim * sizeof *x);
    return;
  }
  constexpr size_t run = 2 * kLanes;
  for (size_t d = 0; d < s.dim; d++) natural[d] = x[d / run * run + d % 2 * kLanes + d % run / 2];
}

HeadRows head_rows(const Attention& a, const Side& s, size_t b, size_t h) {
  const size_t sequence = static_cast<size_t>(integer(a.sequences, b, static_cast<int64_t>(b)));
  const size_t row = a.head_major ? (sequence * a.kv_heads + h) * a.capacity : sequence * a.capacity * a.kv_heads + h;
  const size_t step = a.head_major ? 1 : a.kv_heads;
  const size_t norms = s.norms ? s.codec.norms : 0;
  const float* from = s.norms ? reinterpret_cast<const float*>(s.norms->data) + row * norms : nullptr;
  return {&s, s.data->data + row * s.row_bytes, from, step * s.row_bytes, step * norms};
}

rlx_kernel_list attention_kernels() { return {kKernels, sizeof kKernels / sizeof *kKernels}; }

}  // namespace RLX_ISA
}  // namespace rlx
