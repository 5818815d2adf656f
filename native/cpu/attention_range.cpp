// One range of keys: scores, softmax weights, weighted values.
#include "attention.h"
#include "simd_math.h"

namespace rlx {
namespace RLX_ISA {
namespace {

constexpr size_t kValueVectors = kRegisters >= 32 ? 4 : 2;
constexpr size_t kScores = kRange;  // stride of a row of scores

size_t least(size_t a, size_t b) { return a < b ? a : b; }
size_t most(size_t a, size_t b) { return a > b ? a : b; }

// Rows [at, at + count) of a head as f32 with a stride of whole vectors: in place where they are that already, else in `buffer`.
const float* head_block(const HeadRows& h, size_t at, size_t count, float* buffer, size_t& stride) {
  const uint8_t* from = h.data + at * h.stride;
  if (h.dtype == RLX_F32 && h.dim % kLanes == 0) {
    stride = h.stride / sizeof(float);
    return reinterpret_cast<const float*>(from);
  }
  stride = round_lanes(h.dim);
  for (size_t i = 0; i < count; i++) {
    to_f32(h.dtype, from + i * h.stride, h.dim, buffer + i * stride);
    for (size_t d = h.dim; d < stride; d++) buffer[i * stride + d] = 0.0f;
  }
  return buffer;
}

// scores[r][j] = q[r] . k[j] for `count` keys.
void score_block(const Rows& rows, const float* keys, size_t stride, size_t count, float* scores) {
  constexpr size_t M = kTileRows, N = kTileCols;
  for (size_t j = 0; j < count; j += N) {
    const float* k[N];
    for (size_t i = 0; i < N; i++) k[i] = keys + least(j + i, count - 1) * stride;
    const size_t n = least(N, count - j);
    for (size_t r = 0; r < rows.count; r += M) {
      float tile[M * N];
      const float* q[M];
      for (size_t i = 0; i < M; i++) q[i] = rows.q + least(r + i, rows.count - 1) * rows.q_stride;
      if (rows.count - r >= M) dot_tile<F32, M, N>(q, k, rows.q_stride, tile);
      else if (rows.count - r == 1) dot_tile<F32, 1, N>(q, k, rows.q_stride, tile);
      else if (rows.count - r == 2) dot_tile<F32, 2, N>(q, k, rows.q_stride, tile);
      else dot_tile<F32, 3, N>(q, k, rows.q_stride, tile);
      for (size_t i = 0; i < M && r + i < rows.count; i++) memcpy(scores + (r + i) * kScores + j, tile + i * N, n * sizeof(float));
    }
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

// out[r] += sum over keys [from, to) of weight times value, for M rows; values has `vectors` vectors per key.
template <size_t M>
void add_values(const float* weights, const float* values, size_t stride, size_t from, size_t to, size_t vectors, float* out, size_t out_stride) {
  constexpr size_t V = kValueVectors;
  for (size_t d = 0; d < vectors; d += V) {
    const size_t n = least(V, vectors - d);
    vf acc[M][V];
    RLX_UNROLL
    for (size_t r = 0; r < M; r++)
      RLX_UNROLL
      for (size_t v = 0; v < V; v++) acc[r][v] = v < n ? load(out + r * out_stride + (d + v) * kLanes) : set1(0.0f);
    const float* row = values + d * kLanes;
    if (n == V)
      for (size_t j = from; j < to; j++) {
        vf b[V];
        RLX_UNROLL
        for (size_t v = 0; v < V; v++) b[v] = load(row + j * stride + v * kLanes);
        RLX_UNROLL
        for (size_t r = 0; r < M; r++) {
          const vf w = set1(weights[r * kScores + j]);
          RLX_UNROLL
          for (size_t v = 0; v < V; v++) acc[r][v] = fma(w, b[v], acc[r][v]);
        }
      }
    else
      for (size_t j = from; j < to; j++)
        for (size_t r = 0; r < M; r++) {
          const vf w = set1(weights[r * kScores + j]);
          RLX_UNROLL
          for (size_t v = 0; v < V; v++)
            if (v < n) acc[r][v] = fma(w, load(row + j * stride + v * kLanes), acc[r][v]);
        }
    RLX_UNROLL
    for (size_t r = 0; r < M; r++)
      RLX_UNROLL
      for (size_t v = 0; v < V; v++)
        if (v < n) store(out + r * out_stride + (d + v) * kLanes, acc[r][v]);
  }
}

void add_values_of(size_t rows, const float* weights, const float* values, size_t stride, size_t from, size_t to, size_t vectors, float* out, size_t out_stride) {
  switch (rows) {
    case 1: return add_values<1>(weights, values, stride, from, to, vectors, out, out_stride);
    case 2: return add_values<2>(weights, values, stride, from, to, vectors, out, out_stride);
    case 3: return add_values<3>(weights, values, stride, from, to, vectors, out, out_stride);
    default: return add_values<4>(weights, values, stride, from, to, vectors, out, out_stride);
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

}  // namespace

void attend_range(const Attention& a, const Rows& rows, const HeadRows& keys, const HeadRows& values, size_t range, Partial& out) {
  alignas(64) float scores[kRowTile * kScores];
  alignas(64) float buffer[kKeyBlock * kMaxDim];
  const size_t begin = most(range, rows.lowest);
  const size_t end = least(range + kRange, rows.highest);
  size_t stride = 0;
  for (size_t at = begin; at < end; at += kKeyBlock) {
    const size_t count = least(kKeyBlock, end - at);
    const float* block = head_block(keys, at, count, buffer, stride);
    score_block(rows, block, stride, count, scores + (at - range));
  }
  const size_t out_stride = round_lanes(values.dim);
  clear(out, rows.count, out_stride);
  for (size_t r = 0; r < rows.count; r++) {
    const Span s = visible(rows, r, range, kRange);
    if (s.from < s.to) weigh(a, rows.mask[r], range, s.from, s.to, scores + r * kScores, out.max[r], out.sum[r]);
  }
  const size_t vectors = out_stride / kLanes;
  for (size_t at = begin; at < end; at += kKeyBlock) {
    const size_t count = least(kKeyBlock, end - at);
    const float* block = head_block(values, at, count, buffer, stride);
    const float* weights = scores + (at - range);
    for (size_t r = 0; r < rows.count; r += kTileRows) {
      const size_t m = least(kTileRows, rows.count - r);
      // Keys that every row of the tile sees go together; a key that a row does not see is never multiplied by its zero weight.
      Span own[kTileRows], common{0, count};
      for (size_t i = 0; i < m; i++) {
        own[i] = visible(rows, r + i, at, count);
        common = {most(common.from, own[i].from), least(common.to, own[i].to)};
      }
      const bool together = !a.mask.tensor && common.from < common.to;
      const float* w = weights + r * kScores;
      float* o = out.values + r * out_stride;
      if (together) {
        for (size_t i = 0; i < m; i++) add_values<1>(w + i * kScores, block, stride, own[i].from, common.from, vectors, o + i * out_stride, 0);
        add_values_of(m, w, block, stride, common.from, common.to, vectors, o, out_stride);
        for (size_t i = 0; i < m; i++) add_values<1>(w + i * kScores, block, stride, common.to, own[i].to, vectors, o + i * out_stride, 0);
        continue;
      }
      for (size_t i = 0; i < m; i++) {
        const float* wi = w + i * kScores;
        if (!a.mask.tensor) {
          add_values<1>(wi, block, stride, own[i].from, own[i].to, vectors, o + i * out_stride, 0);
          continue;
        }
        for (size_t j = own[i].from; j < own[i].to;) {
          size_t to = j;
          while (to < own[i].to && wi[to] != 0.0f) to++;
          if (to > j && out.max[r + i] != -INFINITY) add_values<1>(wi, block, stride, j, to, vectors, o + i * out_stride, 0);
          j = to + 1;
        }
      }
    }
  }
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
