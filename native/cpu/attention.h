// What the parts of attention share. A row is one query of one head; the rows of the heads that share a key head go together,
// row r of such a group being query r / heads of head r % heads.
//
// Keys are worked on in ranges of kRange at absolute positions. A range gives partial results (largest score, sum of weights,
// weighted values), and the partials of a row merge in the order of the ranges. One task may go through all ranges (prefill) or
// each range may be a task of its own (decode): the bits are the same.
#pragma once
#include "dot_tile.h"
#include "kernel.h"

namespace rlx {
namespace RLX_ISA {

constexpr size_t kRange = 256;
constexpr size_t kRowTile = 32;    // rows per task
constexpr size_t kMaxDim = 256;    // of a head
constexpr size_t kKeyBlock = 32;   // keys that are f32 in L1 at a time

// Keys or values of one key head.
struct HeadRows {
  const uint8_t* data;
  int32_t dtype;
  size_t stride;  // bytes from one position to the next
  size_t dim;
};

struct Mask {
  const rlx_tensor* tensor;  // NULL: none
  bool keep;
  size_t strides[4];  // batch, head, query, key; in elements, 0 where broadcast
};

// What does not change between the tasks of a call.
struct Attention {
  const rlx_tensor *q, *k, *v, *out;
  const rlx_tensor *q_pos, *kv_len, *sinks;  // NULL when absent
  Mask mask;
  size_t batch, queries, slots, heads, kv_heads, dim, value_dim;
  float scale, softcap;  // softcap 0: none
  int64_t window;        // 0: none
  bool causal, head_major;
};

// The rows of a task.
struct Rows {
  size_t count;
  float q[kRowTile * kMaxDim];   // with stride q_stride
  size_t q_stride;
  size_t low[kRowTile], high[kRowTile];  // visible keys; empty: low == high
  size_t mask[kRowTile];                 // index of the row's first element in the mask
  size_t lowest, highest;
};

// Partial or merged results of rows.
struct Partial {
  float max[kRowTile], sum[kRowTile];
  float values[kRowTile * kMaxDim];  // with stride value_dim rounded up to kLanes
};

constexpr size_t round_lanes(size_t n) { return (n + kLanes - 1) / kLanes * kLanes; }

// The part of keys [range, range + kRange) in all rows. A row that sees none of them gets max = -inf.
void attend_range(const Attention& a, const Rows& rows, const HeadRows& keys, const HeadRows& values, size_t range, Partial& out);
void clear(Partial& p, size_t rows, size_t value_stride);
// into = into and next, next being of later keys.
void merge_row(float& max, float& sum, float* values, float next_max, float next_sum, const float* next_values, size_t value_stride);

}  // namespace RLX_ISA
}  // namespace rlx
