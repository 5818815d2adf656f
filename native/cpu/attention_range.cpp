// One range of keys: scores, softmax weights, weighted values.
#include "attention.h"
#include "simd_math.h"

namespace rlx {
namespace RLX_ISA {
namespace {

constexpr size_t kScores = kRange + 16;  // stride of a row of scores: a tile of keys may pass the end of the range
constexpr size_t kAhead = 16;  // rows
static_assert(kTileCols <= 16, "room for a tile");

size_t least(size_t a, size_t b) { return a < b ? a : b; }
size_t most(size_t a, size_t b) { return a > b ? a : b; }

// Caches that are strided by heads do not stream by themselves, and sums of products leave the memory idle between bursts.
RLX_INLINE void prefetch_row(const void* row, size_t bytes) {
  for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch(static_cast<const uint8_t*>(row) + i);
}

// Consecutive rows of a head as values of type T.
template <class T>
struct Block {
  const typename T::type* data;
  size_t stride, dim;  // in elements
  size_t ahead;        // elements to what will be used later, 0: nothing
};

// Calls f with rows [at, at + count): where they lie when each is used once, else as f32 in `buffer`.
template <class F>
RLX_INLINE void with_block(const HeadRows& h, size_t at, size_t count, bool once, float* buffer, const F& f) {
  const uint8_t* from = h.data + at * h.stride;
  if (once || h.dtype == RLX_F32) {
    with_float_type(h.dtype, [&](auto type) {
      using T = decltype(type);
      const size_t stride = h.stride / sizeof(typename T::type);
      f(Block<T>{reinterpret_cast<const typename T::type*>(from), stride, h.dim, stride == h.dim ? 0 : kAhead * stride});
    });
    return;
  }
  for (size_t i = 0; i < count; i++) to_f32(h.dtype, from + i * h.stride, h.dim, buffer + i * h.dim);
  f(Block<F32>{buffer, h.dim, h.dim, 0});
}

// scores[i * kScores + j] = q[i] . k[j] for a tile of M rows and kTileCols keys.
template <class T, size_t M>
void score_tile(const Rows& rows, size_t r, const typename T::type* const* k, size_t dim, float* scores) {
  const float* q[M];
  for (size_t i = 0; i < M; i++) q[i] = rows.q + (r + i) * rows.q_stride;
  float tile[M * kTileCols];
  dot_tile<T, M, kTileCols>(q, k, dim, tile);
  for (size_t i = 0; i < M; i++) memcpy(scores + (r + i) * kScores, tile + i * kTileCols, kTileCols * sizeof(float));
}

// The same for all rows and `count` keys; keys beyond the last are the last again, and their scores are not looked at.
template <class T>
void score_block(const Rows& rows, const Block<T>& keys, size_t count, float* scores) {
  for (size_t j = 0; j < count; j += kTileCols) {
    const typename T::type* k[kTileCols];
    for (size_t i = 0; i < kTileCols; i++) k[i] = keys.data + least(j + i, count - 1) * keys.stride;
    for (size_t r = 0; r < rows.count; r += kTileRows) {
      switch (rows.count - r) {
        case 1: score_tile<T, 1>(rows, r, k, keys.dim, scores + j); break;
        case 2: score_tile<T, 2>(rows, r, k, keys.dim, scores + j); break;
        case 3: score_tile<T, 3>(rows, r, k, keys.dim, scores + j); break;
        default: score_tile<T, 4>(rows, r, k, keys.dim, scores + j);
      }
    }
  }
}

// The same for M <= kTileRows rows that are all there is: every key is read once, so keys are read one after the other, as memory
// streams best, and the rows of q come from L1.
template <class T, size_t M>
void stream_keys(const Rows& rows, const Block<T>& keys, size_t count, float* scores) {
  for (size_t j = 0; j < count; j += 4) {
    vf acc[4][M];
    RLX_UNROLL
    for (size_t i = 0; i < 4; i++) {
      const typename T::type* k = keys.data + least(j + i, count - 1) * keys.stride;
      if (keys.ahead) prefetch_row(k + keys.ahead, keys.dim * sizeof *k);
      RLX_UNROLL
      for (size_t r = 0; r < M; r++) acc[i][r] = set1(0.0f);
      size_t d = 0;
      for (; d + kLanes <= keys.dim; d += kLanes) {
        const vf b = T::load(k + d);
        RLX_UNROLL
        for (size_t r = 0; r < M; r++) acc[i][r] = fma(load(rows.q + r * rows.q_stride + d), b, acc[i][r]);
      }
      if (d == keys.dim) continue;
      const vf b = T::load_n(k + d, keys.dim - d);
      RLX_UNROLL
      for (size_t r = 0; r < M; r++) acc[i][r] = fma(load(rows.q + r * rows.q_stride + d), b, acc[i][r]);
    }
    RLX_UNROLL
    for (size_t r = 0; r < M; r++) reduce_add4(acc[0][r], acc[1][r], acc[2][r], acc[3][r], scores + r * kScores + j);
  }
}

template <class T>
void score_rows(const Rows& rows, const Block<T>& keys, size_t count, float* scores) {
  switch (rows.count) {
    case 1: return stream_keys<T, 1>(rows, keys, count, scores);
    case 2: return stream_keys<T, 2>(rows, keys, count, scores);
    case 3: return stream_keys<T, 3>(rows, keys, count, scores);
    case 4: return stream_keys<T, 4>(rows, keys, count, scores);
    default: return score_block<T>(rows, keys, count, scores);
  }
}

void apply_mask(const Mask& m, size_t row_at, size_t key, size_t count, float* scores) {
  const size_t at = row_at + key * m.strides[3];
  if (m.keep) {
    const uint8_t* keep = m.tensor->data + at;
    for (size_t j = 0; j < count; j++) scores[j] = keep[j * m.strides[3]] ? scores[j] : -INFINITY;
    return;
  }
  const size_t bytes = float_bytes(m.tensor->dtype);
  for (size_t j = 0; j < count; j++) {
    float bias;
    to_f32(m.tensor->dtype, m.tensor->data + (at + j * m.strides[3]) * bytes, 1, &bias);
    scores[j] += bias;
  }
}

// Scores [low, high) of a row to weights exp(s - max); the other scores of the vectors touched become weights of zero.
void weigh(const Attention& a, size_t mask_at, size_t range, size_t low, size_t high, float* s, float& max, float& sum) {
  const size_t from = low / kLanes * kLanes;
  const size_t to = round_lanes(high);
  for (size_t j = from; j < to; j += kLanes) {
    vf v = load(s + j) * set1(a.scale);
    if (a.softcap != 0.0f) v = tanh(v / set1(a.softcap)) * set1(a.softcap);
    store(s + j, v);
  }
  if (a.mask.tensor) apply_mask(a.mask, mask_at, range + low, high - low, s + low);
  for (size_t j = from; j < low; j++) s[j] = -INFINITY;
  for (size_t j = high; j < to; j++) s[j] = -INFINITY;
  vf peak = set1(-INFINITY);
  for (size_t j = from; j < to; j += kLanes) peak = RLX_ISA::max(peak, load(s + j));
  max = reduce_max(peak);
  sum = 0.0f;
  if (max == -INFINITY) return;
  vf total = set1(0.0f);
  for (size_t j = from; j < to; j += kLanes) {
    const vf w = exp(load(s + j) - set1(max));
    total = total + w;
    store(s + j, w);
  }
  sum = reduce_add(total);
}

// Where a tile of rows adds weighted values: row r of weights is at r * kScores, of out at r * out_stride.
struct Sums {
  const float* weights;
  float* out;
  size_t out_stride;
};

// out[r] += sum over keys [from, to) of weight times value, for M rows and V vectors of columns from d on.
template <class T, size_t M, size_t V>
void add_columns(const Sums& s, const Block<T>& values, size_t from, size_t to, size_t d) {
  vf acc[M][V];
  RLX_UNROLL
  for (size_t r = 0; r < M; r++)
    RLX_UNROLL
    for (size_t v = 0; v < V; v++) acc[r][v] = load(s.out + r * s.out_stride + d + v * kLanes);
  for (size_t j = from; j < to; j++) {
    const typename T::type* row = values.data + j * values.stride + d;
    if (values.ahead) prefetch_row(row + values.ahead, V * kLanes * sizeof *row);
    vf b[V];
    RLX_UNROLL
    for (size_t v = 0; v < V; v++) b[v] = T::load(row + v * kLanes);
    RLX_UNROLL
    for (size_t r = 0; r < M; r++) {
      const vf w = set1(s.weights[r * kScores + j]);
      RLX_UNROLL
      for (size_t v = 0; v < V; v++) acc[r][v] = fma(w, b[v], acc[r][v]);
    }
  }
  RLX_UNROLL
  for (size_t r = 0; r < M; r++)
    RLX_UNROLL
    for (size_t v = 0; v < V; v++) store(s.out + r * s.out_stride + d + v * kLanes, acc[r][v]);
}

// The same for all columns.
template <class T, size_t M>
void add_values(const Sums& s, const Block<T>& values, size_t from, size_t to) {
  if (from == to) return;
  constexpr size_t V = kRegisters / (M <= 2 ? 4 : 8);
  size_t d = 0;
  for (; d + V * kLanes <= values.dim; d += V * kLanes) add_columns<T, M, V>(s, values, from, to, d);
  for (; V > 4 && d + 4 * kLanes <= values.dim; d += 4 * kLanes) add_columns<T, M, 4>(s, values, from, to, d);
  for (; d + kLanes <= values.dim; d += kLanes) add_columns<T, M, 1>(s, values, from, to, d);
  if (d == values.dim) return;
  for (size_t r = 0; r < M; r++) {
    float* out = s.out + r * s.out_stride + d;
    vf acc = load(out);
    for (size_t j = from; j < to; j++) acc = fma(set1(s.weights[r * kScores + j]), T::load_n(values.data + j * values.stride + d, values.dim - d), acc);
    store(out, acc);
  }
}

template <class T>
void add_values_of(size_t rows, const Sums& s, const Block<T>& values, size_t from, size_t to) {
  switch (rows) {
    case 1: return add_values<T, 1>(s, values, from, to);
    case 2: return add_values<T, 2>(s, values, from, to);
    case 3: return add_values<T, 3>(s, values, from, to);
    default: return add_values<T, 4>(s, values, from, to);
  }
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

// Values of keys [at, at + count) times their weights. A key that a row does not see is never multiplied by its zero weight.
template <class T>
void weigh_block(const Attention& a, const Rows& rows, const Block<T>& values, size_t at, size_t count, const float* weights, Partial& out) {
  const size_t stride = round_lanes(values.dim);
  for (size_t r = 0; r < rows.count; r += kTileRows) {
    const size_t m = least(kTileRows, rows.count - r);
    const auto sums = [&](size_t i) { return Sums{weights + (r + i) * kScores, out.values + (r + i) * stride, stride}; };
    Span own[kTileRows], common{0, count};
    for (size_t i = 0; i < m; i++) {
      own[i] = visible(rows, r + i, at, count);
      common = {most(common.from, own[i].from), least(common.to, own[i].to)};
    }
    if (!a.mask.tensor && common.from < common.to) {
      // Keys that every row of the tile sees go together.
      for (size_t i = 0; i < m; i++) add_values<T, 1>(sums(i), values, own[i].from, common.from);
      add_values_of(m, sums(0), values, common.from, common.to);
      for (size_t i = 0; i < m; i++) add_values<T, 1>(sums(i), values, common.to, own[i].to);
      continue;
    }
    for (size_t i = 0; i < m; i++) {
      const float* w = weights + (r + i) * kScores;
      if (!a.mask.tensor) {
        add_values<T, 1>(sums(i), values, own[i].from, own[i].to);
        continue;
      }
      for (size_t j = own[i].from; j < own[i].to;) {
        size_t to = j;
        while (to < own[i].to && w[to] != 0.0f) to++;
        if (to > j && out.max[r + i] != -INFINITY) add_values<T, 1>(sums(i), values, j, to);
        j = to + 1;
      }
    }
  }
}

}  // namespace

void attend_range(const Attention& a, const Rows& rows, const HeadRows& keys, const HeadRows& values, size_t range, Partial& out) {
  alignas(64) float scores[kRowTile * kScores];
  alignas(64) float buffer[kKeyBlock * kMaxDim];
  const size_t begin = most(range, rows.lowest);
  const size_t end = least(range + kRange, rows.highest);
  const bool once = rows.count <= kTileRows;  // each key and each value meets one tile of rows
  const auto blocks = [&](const HeadRows& h, const auto& f) {
    for (size_t at = begin; at < end; at += kKeyBlock) {
      const size_t count = least(kKeyBlock, end - at);
      with_block(h, at, count, once, buffer, [&](const auto& block) { f(block, at, count); });
    }
  };
  blocks(keys, [&](const auto& block, size_t at, size_t count) { score_rows(rows, block, count, scores + (at - range)); });
  clear(out, rows.count, round_lanes(values.dim));
  for (size_t r = 0; r < rows.count; r++) {
    const Span s = visible(rows, r, range, kRange);
    if (s.from < s.to) weigh(a, rows.mask[r], range, s.from, s.to, scores + r * kScores, out.max[r], out.sum[r]);
  }
  blocks(values, [&](const auto& block, size_t at, size_t count) { weigh_block(a, rows, block, at, count, scores + (at - range), out); });
}

void clear(Partial& p, size_t rows, size_t value_stride) {
  for (size_t r = 0; r < rows; r++) {
    p.max[r] = -INFINITY;
    p.sum[r] = 0.0f;
  }
  memset(p.values, 0, rows * value_stride * sizeof(float));
}

void merge_row(float& max, float& sum, float* values, float next_max, float next_sum, const float* next_values, size_t value_stride) {
  if (next_max == -INFINITY) return;
  if (max == -INFINITY) {
    max = next_max;
    sum = next_sum;
    memcpy(values, next_values, value_stride * sizeof(float));
    return;
  }
  const float top = max > next_max ? max : next_max;
  const float keep = exp1(max - top);
  const float add = exp1(next_max - top);
  max = top;
  sum = sum * keep + next_sum * add;
  for (size_t d = 0; d < value_stride; d += kLanes) store(values + d, fma(load(values + d), set1(keep), load(next_values + d) * set1(add)));
}

}  // namespace RLX_ISA
}  // namespace rlx
