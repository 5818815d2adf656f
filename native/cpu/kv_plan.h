// Where a write into a KV cache goes: packages/ir/src/ops/kv-plan.ts for kernels.
#pragma once
#include "shape.h"

namespace rlx {
namespace RLX_BASE {

// Operands that say where tokens go; pos, tokens and offset [] or one per row, slots one per row; data NULL: absent.
struct KvPlaces {
  const rlx_tensor &pos, &slots, &tokens, &offset;
};
struct KvSizes {
  const char* cache;           // its name in errors
  size_t sequences, capacity;  // of the cache
  size_t rows, tokens, width;  // of the source: sequences, tokens of each, elements of one token
  bool ring, trim;
};
// What happens to a row of the source: `count` tokens from `token` on go to a sequence of the cache, to slots from `slot` on, which
// continue at 0 behind the last.
struct KvRow {
  size_t sequence, token, slot, count;
};

constexpr int64_t kMaxPosition = 9007199254740991;  // of the integers that JavaScript knows

// Element of a place, or `otherwise` when it is absent.
static inline int64_t kv_value(const rlx_tensor& t, size_t row, int64_t otherwise) {
  if (!t.data) return otherwise;
  int64_t v;
  load_run(&v, t.data, t.dtype, t.rank == 0 || t.dims[0] == 1 ? 0 : static_cast<int64_t>(row), 1, 1);
  return v;
}

// One row of a plan that kv_check has found to be right.
static inline KvRow kv_row(const KvSizes& s, const KvPlaces& p, size_t row) {
  const size_t offset = static_cast<size_t>(kv_value(p.offset, row, 0));
  const size_t tokens = static_cast<size_t>(kv_value(p.tokens, row, static_cast<int64_t>(s.tokens - offset)));
  if (tokens == 0 || s.width == 0) return {0, 0, 0, 0};
  const size_t dropped = tokens > s.capacity ? tokens - s.capacity : 0;
  const size_t first = static_cast<size_t>(kv_value(p.pos, row, 0)) + dropped;
  return {static_cast<size_t>(kv_value(p.slots, row, static_cast<int64_t>(row))), offset + dropped, first % s.capacity, tokens - dropped};
}

// NULL, or what does not fit. Sequences of zero tokens are left alone, whatever their position.
static inline const char* kv_check(const KvSizes& s, const KvPlaces& p) {
  const rlx_tensor* lists[] = {&p.pos, &p.slots, &p.tokens, &p.offset};
  for (const rlx_tensor* t : lists) {
    if (!t->data) continue;
    RLX_REQUIRE(is_int(t->dtype) && (t->rank == 0 ? t != &p.slots : t->rank == 1 && extent(*t, 0) == s.rows),
                "pos, slots, tokens, srcTokOffset: expected integers, one per sequence of the source");
  }
  RLX_REQUIRE(p.pos.data, "pos: expected integers [] or one per sequence");
  RLX_REQUIRE(p.slots.data || s.rows == s.sequences, "x: expected one sequence per sequence of the cache, or slots");
  RLX_REQUIRE(s.ring || !s.trim, "trim: expected a ring");
  const int64_t have = static_cast<int64_t>(s.tokens), capacity = static_cast<int64_t>(s.capacity), sequences = static_cast<int64_t>(s.sequences);
  for (size_t row = 0; s.width > 0 && row < s.rows; row++) {
    const int64_t offset = kv_value(p.offset, row, 0), pos = kv_value(p.pos, row, 0);
    const int64_t tokens = p.tokens.data ? kv_value(p.tokens, row, 0) : offset < 0 || offset > have ? -1 : have - offset;
    if (tokens == 0) continue;
    RLX_REQUIRE(offset >= 0 && offset <= have,
                rlx_message("srcTokOffset of sequence %zu: expected 0 to %" PRId64 ", the tokens of the source, got %" PRId64, row, have, offset));
    RLX_REQUIRE(tokens > 0 && tokens <= have - offset,
                rlx_message("tokens of sequence %zu: expected 0 to %" PRId64 ", the tokens of the source from %" PRId64 " on, got %" PRId64, row, have - offset, offset, tokens));
    RLX_REQUIRE(capacity > 0, rlx_message("%s: expected a capacity of at least 1 for %" PRId64 " tokens, got 0", s.cache, tokens));
    const int64_t sequence = kv_value(p.slots, row, static_cast<int64_t>(row));
    RLX_REQUIRE(sequence >= 0 && sequence < sequences,
                rlx_message("slots of sequence %zu: expected 0 to %" PRId64 ", a sequence of %s, got %" PRId64, row, sequences - 1, s.cache, sequence));
    for (size_t other = 0; p.slots.data && other < row; other++)
      RLX_REQUIRE(kv_value(p.slots, other, 0) != sequence || kv_row(s, p, other).count == 0,
                  rlx_message("slots of sequence %zu: expected another one than sequence %zu has, got %" PRId64, row, other, sequence));
    RLX_REQUIRE(tokens <= capacity || s.trim, rlx_message("tokens of sequence %zu: expected at most the %" PRId64 " slots of %s%s, got %" PRId64, row, capacity, s.cache,
                                                          s.ring ? " (trim: true keeps the newest)" : "", tokens));
    const int64_t last = s.ring ? kMaxPosition - tokens : capacity - tokens;
    RLX_REQUIRE(pos >= 0 && pos <= last, rlx_message("pos of sequence %zu: expected 0 to %" PRId64 " for %" PRId64 " tokens in the %" PRId64 " slots of %s, got %" PRId64, row,
                                                     last, tokens, capacity, s.cache, pos));
  }
  return nullptr;
}

// Calls f(row of the source, first token, sequence of the cache, first slot, count) for tokens [begin, end) of all rows, numbered row *
// tokens of a row + (token - first one): parts without a wrap.
template <class F>
static inline void kv_runs(const KvSizes& s, const KvPlaces& p, size_t begin, size_t end, const F& f) {
  for (size_t row = begin / s.tokens; row * s.tokens < end; row++) {
    const KvRow r = kv_row(s, p, row);
    const size_t from = row * s.tokens < begin ? begin - row * s.tokens : 0;
    const size_t to = end - row * s.tokens < r.count ? end - row * s.tokens : r.count;
    for (size_t i = from; i < to;) {
      const size_t slot = r.slot + i < s.capacity ? r.slot + i : r.slot + i - s.capacity;
      const size_t n = s.capacity - slot < to - i ? s.capacity - slot : to - i;
      f(row, r.token + i, r.sequence, slot, n);
      i += n;
    }
  }
}

// Vector of a head at a slot, in [sequences, slots, heads] or [sequences, heads, slots].
static inline size_t vector_at(bool head_major, size_t heads, size_t slots, size_t sequence, size_t slot, size_t head) {
  return head_major ? (sequence * heads + head) * slots + slot : (sequence * slots + slot) * heads + head;
}

// Whether any token is written.
static inline bool kv_any(const KvSizes& s, const KvPlaces& p) {
  for (size_t row = 0; s.width > 0 && row < s.rows; row++)
    if (kv_row(s, p, row).count > 0) return true;
  return false;
}

// Memory by its name in errors.
struct KvMemory {
  const char* name;
  const rlx_tensor& tensor;
};

static inline bool overlap(const rlx_tensor& a, const rlx_tensor& b) {
  return a.bytes > 0 && b.bytes > 0 && a.data < b.data + b.bytes && b.data < a.data + a.bytes;
}

// NULL, or the memory among `written` that shares bytes with another of `written` or `read`.
template <size_t W, size_t R>
static inline const char* check_apart(const KvMemory (&written)[W], const KvMemory (&read)[R]) {
  for (size_t i = 0; i < W; i++)
    for (size_t j = i + 1; j < W + R; j++) {
      const KvMemory& other = j < W ? written[j] : read[j - W];
      RLX_REQUIRE(!overlap(written[i].tensor, other.tensor), rlx_message("%s: expected memory of its own, got memory that overlaps %s", other.name, written[i].name));
    }
  return nullptr;
}

}  // namespace RLX_BASE
}  // namespace rlx
