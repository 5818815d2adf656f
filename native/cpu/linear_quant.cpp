// y = x w^T with packed block weights (see pack.h) and activations quantized to int8 per block of 32. The sum of a block is an exact integer.
#include "linear.h"
#include "pack.h"

namespace rlx {
namespace RLX_ISA {
namespace {

constexpr size_t kVectors = kPackRows / kLanes;              // vectors per group of rows
constexpr size_t kTile = kRegisters >= 32 && kVectors == 1 ? 8 : 2;  // rows of x per tile
constexpr size_t kRowBlock = 64;
constexpr size_t kGroups = 4;  // groups of weight rows per task
constexpr size_t kChunk = kGroups * kPackRows;

RLX_INLINE vi broadcast4(const int8_t* p) {
  int32_t x;
  memcpy(&x, p, sizeof x);
  return set1i(x);
}

struct Q8 {
  static constexpr size_t kBytes = kQ8Bytes;
  // acc[r][v] += block of weights times 32 values of each row.
  template <size_t M>
  RLX_INLINE void dot(const uint8_t* w, const int8_t* const* x, vi (&acc)[M][kVectors]) {
    RLX_UNROLL
    for (size_t j = 0; j < 8; j++) {
      vi b[kVectors];
      RLX_UNROLL
      for (size_t v = 0; v < kVectors; v++) b[v] = loadi(w + j * 64 + v * 4 * kLanes);
      RLX_UNROLL
      for (size_t r = 0; r < M; r++) {
        const vi a = broadcast4(x[r] + 4 * j);
        RLX_UNROLL
        for (size_t v = 0; v < kVectors; v++) acc[r][v] = dot4(acc[r][v], b[v], a);
      }
    }
  }
};
struct Q4 {
  static constexpr size_t kBytes = kQ4Bytes;
  template <size_t M>
  RLX_INLINE void dot(const uint8_t* w, const int8_t* const* x, vi (&acc)[M][kVectors]) {
    const vi nibble = set1i(0x0f0f0f0f);
    RLX_UNROLL
    for (size_t j = 0; j < 4; j++) {
      vi low[kVectors], high[kVectors];
      RLX_UNROLL
      for (size_t v = 0; v < kVectors; v++) {
        const vi b = loadi(w + j * 64 + v * 4 * kLanes);
        low[v] = b & nibble;
        high[v] = shr<4>(b) & nibble;
      }
      RLX_UNROLL
      for (size_t r = 0; r < M; r++) {
        const vi a = broadcast4(x[r] + 4 * j);
        const vi c = broadcast4(x[r] + 16 + 4 * j);
        RLX_UNROLL
        for (size_t v = 0; v < kVectors; v++) acc[r][v] = dot4(dot4(acc[r][v], low[v], a), high[v], c);
      }
    }
  }
};

// M rows of x times one group of weight rows; out[r * stride + 0..15].
template <class Q, size_t M>
void tile(const QuantRows& x, const size_t* rows, const uint8_t* w, float* out, size_t stride) {
  vf sum[M][kVectors];
  RLX_UNROLL
  for (size_t r = 0; r < M; r++)
    RLX_UNROLL
    for (size_t v = 0; v < kVectors; v++) sum[r][v] = set1(0.0f);
  const int8_t* q[M];
  const float* d[M];
  const int32_t* correction[M];
  for (size_t r = 0; r < M; r++) {
    q[r] = x.q + rows[r] * x.blocks * 32;
    d[r] = x.d + rows[r] * x.blocks;
    correction[r] = x.correction + rows[r] * x.blocks;
  }
  for (size_t b = 0; b < x.blocks; b++, w += Q::kBytes) {
    vi acc[M][kVectors];
    RLX_UNROLL
    for (size_t r = 0; r < M; r++)
      RLX_UNROLL
      for (size_t v = 0; v < kVectors; v++) acc[r][v] = set1i(correction[r][b]);
    Q::template dot<M>(w + kScaleBytes, q, acc);
    vf scale[kVectors];
    RLX_UNROLL
    for (size_t v = 0; v < kVectors; v++) scale[v] = load_f16(reinterpret_cast<const uint16_t*>(w) + v * kLanes);
    RLX_UNROLL
    for (size_t r = 0; r < M; r++) {
      const vf dx = set1(d[r][b]);
      RLX_UNROLL
      for (size_t v = 0; v < kVectors; v++) sum[r][v] = fma(to_float(acc[r][v]), scale[v] * dx, sum[r][v]);
      q[r] += 32;
    }
  }
  RLX_UNROLL
  for (size_t r = 0; r < M; r++)
    RLX_UNROLL
    for (size_t v = 0; v < kVectors; v++) store(out + r * stride + v * kLanes, sum[r][v]);
}

struct Call {
  const Jobs* jobs;
  const QuantRows* x;
  const uint8_t* w;
  const Sink* sink;
  size_t n, chunks, row_blocks;
};

template <class Q>
void run_task(void* context, size_t index) {
  const Call& c = *static_cast<const Call*>(context);
  const size_t per_job = c.chunks * c.row_blocks;
  const Job& job = c.jobs->list[index / per_job];
  const size_t row = index % c.row_blocks * kRowBlock;
  if (row >= job.count) return;
  const size_t rows = job.count - row < kRowBlock ? job.count - row : kRowBlock;
  size_t xs[kRowBlock];
  for (size_t i = 0; i < rows; i++) xs[i] = job.x_row(row + i);

  // Groups are counted over all rows of the weight: an expert may begin and end inside one.
  const size_t group = job.row / kPackRows + index % per_job / c.row_blocks * kGroups;
  float sums[kRowBlock * kChunk];
  const size_t end = (job.row + c.n + kPackRows - 1) / kPackRows;
  if (group >= end) return;
  const size_t groups = end - group < kGroups ? end - group : kGroups;
  for (size_t g = 0; g < groups; g++) {
    const uint8_t* w = c.w + (group + g) * c.x->blocks * Q::kBytes;
    float* out = sums + g * kPackRows;
    size_t i = 0;
    for (; i + kTile <= rows; i += kTile) tile<Q, kTile>(*c.x, xs + i, w, out + i * kChunk, kChunk);
    for (; i < rows; i++) tile<Q, 1>(*c.x, xs + i, w, out + i * kChunk, kChunk);
  }
  const size_t first = group * kPackRows;  // weight row of sums[0]
  const size_t from = first > job.row ? first : job.row;
  const size_t last = first + groups * kPackRows;
  const size_t to = last < job.row + c.n ? last : job.row + c.n;
  for (size_t i = 0; i < rows; i++) c.sink->finish(job.y_row(row + i), from - job.row, sums + i * kChunk + (from - first), to - from);
}

}  // namespace

void quant_linear(const Jobs& jobs, const QuantRows& x, const rlx_tensor& w, size_t n, const Sink& sink, rlx_pool* pool) {
  // One chunk more than n alone needs: a job may begin inside a group.
  Call call{&jobs, &x, w.data, &sink, n, (n + 2 * (kPackRows - 1)) / kChunk + 1, (jobs.most + kRowBlock - 1) / kRowBlock};
  rlx_parallel(pool, jobs.count * call.chunks * call.row_blocks, w.dtype == RLX_Q4_0 ? run_task<Q4> : run_task<Q8>, &call);
}

}  // namespace RLX_ISA
}  // namespace rlx
