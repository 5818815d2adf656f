// What the parts of attention share. A row is one query of one head; the rows of the heads that share a key head go together,
// row r of such a group being query r / heads of head r % heads.
//
// Keys are worked on in ranges of kRange at absolute positions. A range gives partial results (largest score, sum of weights,
// weighted values), and the partials of a row merge in the order of the ranges. One task may go through all ranges (prefill) or
// each range may be a task of its own (decode): the bits are the same.
#pragma once
#include "dot_tile.h"
#include "kernel.h"
#include "kv_codec.h"

namespace rlx {
namespace RLX_ISA {

constexpr size_t kRange = 256;
constexpr size_t kRowTile = 32;   // rows per task and key head
constexpr size_t kTaskRows = 64;  // rows per task
constexpr size_t kMaxDim = 512;   // of a head
constexpr size_t kMaxWidth = kMaxDim + 2 * kLanes;

// How head vectors are kept. `nibbles`: codes of 4 bits, which are read where they lie; `codes`: the other ones, decoded in blocks.
#ifdef RLX_SIMD_LOOKUP
constexpr bool kReadsNibbles = true;
#else
constexpr bool kReadsNibbles = false;
#endif
enum class Form { f32, f16, bf16, q8, nibbles, codes };

// Keys or values of a call. Kernels work on vectors in lane order: `width` floats, whole SIMD vectors of them. It is the natural order, zeros
// behind the last value, but for nibbles: of 2 kLanes values the even ones, then the odd ones.
struct Side {
  const rlx_tensor *data, *norms;
  Form form;
  size_t dim, width;
  size_t row_bytes;  // of a head vector as it is stored
  float norm_factor;  // of nibbles: one over the codec's norm_scale, a power of two
  RLX_BASE::KvCodec codec;  // of nibbles and codes
};
bool is_rotated(const Side& s);
// x[width] in lane order from natural[dim], and back.
void to_lanes(const Side& s, const float* natural, float* x);
void from_lanes(const Side& s, const float* x, float* natural);

// The vectors of one key head of a sequence.
struct HeadRows {
  const Side* side;
  const uint8_t* data;  // in slot 0
  const float* norms;
  size_t stride, norm_stride;  // from one slot to the next: bytes, floats
};

struct Mask {
  const rlx_tensor* tensor;  // NULL: none
  bool keep;
  size_t strides[4];  // batch, head, query, slot; in elements, 0 where broadcast
};

// What does not change between the tasks of a call.
struct Attention {
  const rlx_tensor *q, *out;
  const rlx_tensor *q_pos, *kv_len, *sinks, *ring_start, *sequences;  // NULL when absent
  Side keys, values;
  Mask mask;
  size_t batch, queries, capacity, heads, kv_heads;
  float scale, softcap;  // softcap 0: none
  int64_t window;        // 0: none
  bool causal, head_major;
};

// Which keys the rows of a task see, those of each key head the same.
struct Rows {
  size_t count;                          // per key head
  size_t low[kRowTile], high[kRowTile];  // visible keys; empty: low == high
  size_t lowest, highest;
  size_t ring_start;
};

// Results of a row, merged or of a range: `width` weighted values, then the largest score (-inf: nothing is seen) and the sum of weights.
constexpr size_t kRecordTail = 16;
struct Records {
  float* data;
  size_t width;  // of the values, in lane order
  float* values(size_t i) const { return data + i * (width + kRecordTail); }
  float& max(size_t i) const { return values(i)[width]; }
  float& sum(size_t i) const { return values(i)[width + 1]; }
};

// The work on one range: rows of `heads` key heads from `head` on, of batch row `batch`.
struct RangeTask {
  const Attention* a;
  const Rows* rows;
  const float* queries;  // in lane order, one behind the other
  size_t batch, head, heads;
  size_t first_row;  // of those of a key head
};
// The part of keys [range, range + kRange) in all rows; record i is of row i % rows.count of the i / rows.count-th head.
void attend_range(const RangeTask& t, size_t range, const Records& out);
HeadRows head_rows(const Attention& a, const Side& s, size_t b, size_t h);

void clear(const Records& r, size_t i);
// into = into and next, next being of later keys.
void merge(const Records& into, size_t i, const Records& next, size_t j);

}  // namespace RLX_ISA
}  // namespace rlx
