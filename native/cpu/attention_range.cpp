// One range of keys: scores, softmax weights, weighted values.
#include <type_traits>

#include "attention_rows.h"
#include "simd_math.h"

namespace rlx {
namespace RLX_ISA {
namespace {

constexpr size_t kScores = kRange + 16;  // stride of a row of scores: a tile of keys may pass the end of the range
constexpr size_t kKeyBlock = 32;         // keys that are worked on for one head before the next head
constexpr size_t kTileKeys = 4;          // keys whose scores are summed at a time
constexpr size_t kAhead = 8192;          // bytes of a head's vectors

size_t least(size_t a, size_t b) { return a < b ? a : b; }
size_t most(size_t a, size_t b) { return a > b ? a : b; }

// Memory is asked for kAhead bytes before it is used, into the second level: the first has too few requests under way for the bandwidth
// of one thread, and rows that are strided by heads are no stream that the processor would find.
template <class F>
RLX_INLINE void prefetch(const Stored<F>& block, size_t i) {
  if (!block.next.data) return;
  // The lines that begin in the row: those of rows side by side, once each.
  const uint8_t* row = block.next.data + i * block.next.stride;
  for (size_t at = -reinterpret_cast<uintptr_t>(row) % 64; at < block.next.bytes; at += 64) __builtin_prefetch(row + at, 0, 2);
}
RLX_INLINE void prefetch(const Buffered&, size_t) {}

// scores[r * kScores + i] = q[r] . key j + i for M rows and a tile of keys; keys beyond the last are the last again, and their scores
// are not looked at. A score is summed in one order, whatever tile it is in.
template <class B, size_t M>
void score_tile(const float* q, size_t width, const B& keys, size_t dim, size_t j, size_t count, float* scores) {
  using Row = typename B::Row;
  constexpr size_t K = kTileKeys, S = Row::kStep;
  Row row[K];
  RLX_UNROLL
  for (size_t i = 0; i < K; i++) {
    row[i] = keys.row(least(j + i, count - 1));
    prefetch(keys, j + i);
  }
  vf acc[M][K];
  RLX_UNROLL
  for (size_t r = 0; r < M; r++)
    RLX_UNROLL
    for (size_t i = 0; i < K; i++) acc[r][i] = set1(0.0f);
  // One step of all keys.
  const auto step = [&](size_t v, const auto& chunk_of) __attribute__((always_inline)) {
    typename Row::Chunk chunk[K];
    RLX_UNROLL
    for (size_t i = 0; i < K; i++) chunk[i] = chunk_of(row[i]);
    RLX_UNROLL
    for (size_t s = 0; s < S; s++) {
      vf x[M];
      RLX_UNROLL
      for (size_t r = 0; r < M; r++) x[r] = load(q + r * width + (v + s) * kLanes);
      RLX_UNROLL
      for (size_t i = 0; i < K; i++) {
        const vf key = Row::part(row[i], chunk[i], v, s);
        RLX_UNROLL
        for (size_t r = 0; r < M; r++) acc[r][i] = fma(x[r], key, acc[r][i]);
      }
    }
  };
  const size_t whole = dim / (S * kLanes) * S;
  for (size_t v = 0; v < whole; v += S) step(v, [&](const Row& r) __attribute__((always_inline)) { return Row::chunk(r, v); });
  if (whole * kLanes < dim) step(whole, [&](const Row& r) __attribute__((always_inline)) { return Row::last_chunk(r, whole, dim); });
  if constexpr (M == 4) return reduce_add4x4(acc[0], scores, kScores);
  for (size_t r = 0; r < M; r++) reduce_add4(acc[r][0], acc[r][1], acc[r][2], acc[r][3], scores + r * kScores);
}

// Calls f with the number of rows of a tile, 1 to kTileRows, as a constant.
template <class F>
RLX_INLINE void with_rows(size_t rows, const F& f) {
  switch (rows) {
    case 1: return f(std::integral_constant<size_t, 1>());
    case 2: return f(std::integral_constant<size_t, 2>());
    case 3: return f(std::integral_constant<size_t, 3>());
    default: return f(std::integral_constant<size_t, kTileRows>());
  }
}
static_assert(kTileRows == 4, "with_rows");

template <class B>
void score_rows(size_t rows, const float* q, size_t width, const B& keys, size_t dim, size_t count, float* scores) {
  for (size_t r = 0; r < rows; r += kTileRows)
    with_rows(rows - r, [&](auto m) {
      constexpr size_t M = decltype(m)::value;
      for (size_t j = 0; j < count; j += kTileKeys)
        score_tile<B, M>(q + r * width, width, keys, dim, j, count, scores + r * kScores + j);
    });
}

void apply_mask(const Attention& a, size_t row_at, size_t slot, size_t count, float* scores) {
  const Mask& m = a.mask;
  for (size_t j = 0; j < count; j++, slot++) {
    if (slot == a.capacity) slot = 0;
    const size_t at = row_at + slot * m.strides[3];
    if (m.keep) {
      if (!m.tensor->data[at]) scores[j] = -INFINITY;
      continue;
    }
    float bias;
    to_f32(m.tensor->dtype, m.tensor->data + at * float_bytes(m.tensor->dtype), 1, &bias);
    scores[j] += bias;
  }
}

// The weight of a key that a mask hides: -0, which no exp gives.
bool is_hidden(float weight) { return weight == 0.0f && __builtin_signbit(weight); }

// Scores [low, high) of a row to weights exp(s - max); the other scores of the vectors touched become weights of zero.
void weigh(const Attention& a, size_t mask_at, size_t slot, size_t low, size_t high, float* s, float& max, float& sum) {
  const size_t from = low / kLanes * kLanes;
  const size_t to = (high + kLanes - 1) / kLanes * kLanes;
  for (size_t j = from; j < to; j += kLanes) {
    vf v = load(s + j) * set1(a.scale);
    if (a.softcap != 0.0f) v = tanh(v / set1(a.softcap)) * set1(a.softcap);
    store(s + j, v);
  }
  if (a.mask.tensor) apply_mask(a, mask_at, slot, high - low, s + low);
  for (size_t j = from; j < low; j++) s[j] = -INFINITY;
  for (size_t j = high; j < to; j++) s[j] = -INFINITY;
  vf peak = set1(-INFINITY);
  for (size_t j = from; j < to; j += kLanes) peak = RLX_ISA::max(peak, load(s + j));
  max = reduce_max(peak);
  sum = 0.0f;
  if (max == -INFINITY) return;
  vf total = set1(0.0f);
  for (size_t j = from; j < to; j += kLanes) {
    const vf score = load(s + j);
    const vf w = exp(score - set1(max));
    total = total + w;
    store(s + j, a.mask.tensor ? select(eq(score, set1(-INFINITY)), set1(-0.0f), w) : w);
  }
  sum = reduce_add(total);
}

// Weights and sums of M rows.
struct Sums {
  const float* weights;  // with stride kScores
  float* out;
  size_t stride;
};

// out[r] += sum over keys [from, to) of weight times value, for M rows and V vectors of columns from vector v on, V = 0: the last step.
template <class B, size_t M, size_t V>
void add_columns(const Sums& s, const B& values, size_t dim, size_t from, size_t to, size_t v) {
  using Row = typename B::Row;
  constexpr size_t S = Row::kStep, N = V == 0 ? S : V;
  float* out = s.out + v * kLanes;
  vf acc[M][N];
  RLX_UNROLL
  for (size_t r = 0; r < M; r++)
    RLX_UNROLL
    for (size_t i = 0; i < N; i++) acc[r][i] = load(out + r * s.stride + i * kLanes);
  for (size_t j = from; j < to; j++) {
    const Row row = values.row(j);
    if (v == 0) prefetch(values, j);
    vf b[N];
    RLX_UNROLL
    for (size_t i = 0; i < N; i += S) {
      const typename Row::Chunk chunk = V == 0 ? Row::last_chunk(row, v + i, dim) : Row::chunk(row, v + i);
      RLX_UNROLL
      for (size_t k = 0; k < S; k++) b[i + k] = Row::part(row, chunk, v + i, k);
    }
    RLX_UNROLL
    for (size_t r = 0; r < M; r++) {
      const vf w = set1(s.weights[r * kScores + j]);
      RLX_UNROLL
      for (size_t i = 0; i < N; i++) acc[r][i] = fma(w, b[i], acc[r][i]);
    }
  }
  RLX_UNROLL
  for (size_t r = 0; r < M; r++)
    RLX_UNROLL
    for (size_t i = 0; i < N; i++) store(out + r * s.stride + i * kLanes, acc[r][i]);
}

// The same for all columns.
template <class B, size_t M>
void add_values(const Sums& s, const B& values, size_t dim, size_t from, size_t to) {
  if (from == to) return;
  constexpr size_t S = B::Row::kStep, V = kRegisters / (M == 1 ? 2 : M == 2 ? 4 : 8);
  const size_t whole = dim / (S * kLanes) * S;
  size_t v = 0;
  for (; v + V <= whole; v += V) add_columns<B, M, V>(s, values, dim, from, to, v);
  if constexpr (V > 8)
    for (; v + 8 <= whole; v += 8) add_columns<B, M, 8>(s, values, dim, from, to, v);
  if constexpr (V > 4)
    for (; v + 4 <= whole; v += 4) add_columns<B, M, 4>(s, values, dim, from, to, v);
  for (; v < whole; v += S) add_columns<B, M, S>(s, values, dim, from, to, v);
  if (whole * kLanes < dim) add_columns<B, M, 0>(s, values, dim, from, to, whole);
}

struct Span {
  size_t from, to;
};
// Visible keys of a row within [at, at + count), counted from `at`.
Span visible(const Rows& rows, size_t r, size_t at, size_t count) {
  const size_t from = most(rows.low[r], at);
  const size_t to = least(rows.high[r], at + count);
  return from < to ? Span{from - at, to - at} : Span{0, 0};
}

// Values of keys [at, at + count) times their weights, for the rows of one head, whose records begin at `record`. A key that a row does
// not see is never multiplied by its weight.
template <class B>
void weigh_block(const RangeTask& t, const B& values, size_t dim, size_t at, size_t count, const float* weights, const Records& out, size_t record) {
  const Rows& rows = *t.rows;
  const bool masked = t.a->mask.tensor;
  for (size_t r = 0; r < rows.count; r += kTileRows) {
    const size_t m = least(kTileRows, rows.count - r);
    const auto sums = [&](size_t i) { return Sums{weights + (r + i) * kScores, out.values(record + r + i), out.width + kRecordTail}; };
    Span own[kTileRows], common{0, count};
    for (size_t i = 0; i < m; i++) {
      own[i] = visible(rows, r + i, at, count);
      common = {most(common.from, own[i].from), least(common.to, own[i].to)};
    }
    if (!masked && common.from < common.to) {
      // Keys that every row of the tile sees go together.
      for (size_t i = 0; i < m; i++) add_values<B, 1>(sums(i), values, dim, own[i].from, common.from);
      with_rows(m, [&](auto n) { add_values<B, decltype(n)::value>(sums(0), values, dim, common.from, common.to); });
      for (size_t i = 0; i < m; i++) add_values<B, 1>(sums(i), values, dim, common.to, own[i].to);
      continue;
    }
    for (size_t i = 0; i < m; i++) {
      const float* w = weights + (r + i) * kScores;
      if (!masked) {
        add_values<B, 1>(sums(i), values, dim, own[i].from, own[i].to);
        continue;
      }
      for (size_t j = own[i].from; j < own[i].to;) {
        size_t to = j;
        while (to < own[i].to && !is_hidden(w[to])) to++;
        if (to > j && out.max(record + r + i) != -INFINITY) add_values<B, 1>(sums(i), values, dim, j, to);
        j = to + 1;
      }
    }
  }
}

// Calls f with the vectors of slots [slot, slot + count) of a head and the values that each has: where they lie when each meets one tile of
// rows, else decoded.
template <class F>
RLX_INLINE void with_block(const HeadRows& h, size_t slot, size_t count, bool once, const Next& next, const F& f) {
  const Side& side = *h.side;
  if (once || side.form == Form::f32)
    if (with_stored(h, slot, next, [&](const auto& block) { f(block, side.dim); })) return;
  alignas(64) float buffer[kKeyBlock * kMaxWidth];
  const Buffered block{buffer, side.width};
  const bool stored = with_stored(h, slot, Next{}, [&](const auto& from) {
    using Row = typename std::decay_t<decltype(from)>::Row;
    const size_t whole = side.dim / (Row::kStep * kLanes) * Row::kStep;
    for (size_t i = 0; i < count; i++) {
      const Row row = from.row(i);
      for (size_t v = 0; v * kLanes < side.width; v += Row::kStep) {
        const typename Row::Chunk chunk = v < whole ? Row::chunk(row, v) : Row::last_chunk(row, v, side.dim);
        for (size_t k = 0; k < Row::kStep; k++) store(buffer + i * side.width + (v + k) * kLanes, Row::part(row, chunk, v, k));
      }
    }
  });
  if (!stored) {
    RLX_BASE::kv_decode_rows(side.codec, h.data + slot * h.stride, h.stride, h.norms + slot * h.norm_stride, h.norm_stride, count, buffer, side.width);
    for (size_t i = 0; i < count; i++)
      for (size_t d = side.dim; d < side.width; d++) buffer[i * side.width + d] = 0.0f;
  }
  f(block, side.width);
}

}  // namespace

void attend_range(const RangeTask& t, size_t range, const Records& out) {
  const Attention& a = *t.a;
  const Rows& rows = *t.rows;
  alignas(64) float scores[kTaskRows * kScores];
  const size_t begin = most(range, rows.lowest);
  const size_t end = least(range + kRange, rows.highest);
  const bool once = rows.count <= kTileRows;
  HeadRows heads[2][kTaskRows];  // of keys and of values
  for (size_t h = 0; h < t.heads; h++) {
    heads[0][h] = head_rows(a, a.keys, t.batch, t.head + h);
    heads[1][h] = head_rows(a, a.values, t.batch, t.head + h);
  }
  const auto slot_of = [&](size_t key) {
    const size_t slot = rows.ring_start + key;
    return slot < a.capacity ? slot : slot - a.capacity;
  };
  // What will be used kAhead bytes after the block at `at`. Keys of the range are followed by its values, those by keys of the next range.
  const auto next = [&](const Side& side, size_t at, size_t head) {
    const size_t key = at + least(kRange, most(1, kAhead / side.row_bytes / kKeyBlock) * kKeyBlock);
    const bool is_keys = &side == &a.keys;
    const Side& there = key < end ? side : is_keys ? a.values : a.keys;
    const size_t slot = slot_of(key < end || !is_keys ? key : begin + (key - end));
    if (!once || slot >= a.capacity) return Next{};
    const HeadRows& h = heads[&there == &a.values][head];
    return Next{h.data + slot * h.stride, h.stride, there.row_bytes};
  };
  // Blocks of consecutive slots, for each of them the heads one after the other: as they lie in a token-major cache.
  const auto blocks = [&](const Side& side, const auto& f) {
    for (size_t at = begin, count; at < end; at += count) {
      const size_t slot = slot_of(at);
      count = least(least(kKeyBlock, end - at), a.capacity - slot);
      for (size_t h = 0; h < t.heads; h++) {
        with_block(heads[&side == &a.values][h], slot, count, once, next(side, at, h), [&](const auto& block, size_t dim) { f(block, dim, at, count, h); });
      }
    }
  };
  const size_t width = a.keys.width;
  blocks(a.keys, [&](const auto& block, size_t dim, size_t at, size_t count, size_t h) {
    score_rows(rows.count, t.queries + h * rows.count * width, width, block, dim, count, scores + h * rows.count * kScores + (at - range));
  });
  const size_t group = a.heads / a.kv_heads;
  for (size_t h = 0; h < t.heads; h++)
    for (size_t r = 0; r < rows.count; r++) {
      const size_t i = h * rows.count + r;
      clear(out, i);
      const Span s = visible(rows, r, range, kRange);
      if (s.from == s.to) continue;
      const size_t row = t.first_row + r;
      const size_t* strides = a.mask.strides;
      const size_t mask_at = t.batch * strides[0] + ((t.head + h) * group + row % group) * strides[1] + row / group * strides[2];
      weigh(a, mask_at, slot_of(range + s.from), s.from, s.to, scores + i * kScores, out.max(i), out.sum(i));
    }
  blocks(a.values, [&](const auto& block, size_t dim, size_t at, size_t count, size_t h) {
    weigh_block(t, block, dim, at, count, scores + h * rows.count * kScores + (at - range), out, h * rows.count);
  });
}

void clear(const Records& r, size_t i) {
  memset(r.values(i), 0, r.width * sizeof(float));
  r.max(i) = -INFINITY;
  r.sum(i) = 0.0f;
}

void merge(const Records& into, size_t i, const Records& next, size_t j) {
  const float next_max = next.max(j);
  if (next_max == -INFINITY) return;
  if (into.max(i) == -INFINITY) {
    memcpy(into.values(i), next.values(j), (into.width + 2) * sizeof(float));
    return;
  }
  const float top = into.max(i) > next_max ? into.max(i) : next_max;
  const float keep = exp1(into.max(i) - top), add = exp1(next_max - top);
  into.max(i) = top;
  into.sum(i) = into.sum(i) * keep + next.sum(j) * add;
  float* values = into.values(i);
  const float* more = next.values(j);
  for (size_t d = 0; d < into.width; d += kLanes) store(values + d, fma(load(values + d), set1(keep), load(more + d) * set1(add)));
}

}  // namespace RLX_ISA
}  // namespace rlx
