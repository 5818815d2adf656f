// What decode and prefill have in common: operands, where the keys of a sequence lie, which of them a row sees, scores.
//
// A row is one query of one head. The rows of the heads that share a key head are worked on together: row r of them is query r / GROUP of the
// r % GROUP-th head.
#pragma once
#include "common.h"

constant uint Q_TYPE [[function_constant(0)]];  // of the result, too
constant uint K_TYPE [[function_constant(1)]];
constant uint V_TYPE [[function_constant(2)]];
constant uint MASK_TYPE [[function_constant(3)]];
constant uint Q_POS_TYPE [[function_constant(4)]];
constant uint KV_LEN_TYPE [[function_constant(5)]];
constant uint SINKS_TYPE [[function_constant(6)]];
constant uint RING_START_TYPE [[function_constant(7)]];
constant uint SLOTS_TYPE [[function_constant(8)]];
constant bool HAS_MASK [[function_constant(9)]];
constant bool HAS_Q_POS [[function_constant(10)]];
constant bool HAS_KV_LEN [[function_constant(11)]];
constant bool HAS_SINKS [[function_constant(12)]];
constant bool HAS_RING_START [[function_constant(13)]];
constant bool HAS_SLOTS [[function_constant(14)]];
constant bool HAS_K_NORMS [[function_constant(15)]];
constant bool HAS_V_NORMS [[function_constant(16)]];
constant uint K_CODEC [[function_constant(17)]];  // see kv_codec.h; 0: none
constant uint V_CODEC [[function_constant(18)]];
constant bool K_QUADS [[function_constant(19)]];  // vectors are whole quads that lie at multiples of their size
constant bool V_QUADS [[function_constant(20)]];
constant uint HEADS [[function_constant(21)]];
constant uint KV_HEADS [[function_constant(22)]];
constant uint HEAD_DIM [[function_constant(23)]];
constant uint VALUE_DIM [[function_constant(24)]];
constant bool HEAD_MAJOR [[function_constant(25)]];
constant bool CAUSAL [[function_constant(26)]];
constant bool HAS_WINDOW [[function_constant(27)]];
constant bool HAS_SOFTCAP [[function_constant(28)]];
constant bool KEEP [[function_constant(29)]];  // the mask is one of kept keys, else of biases
constant uint ROWS [[function_constant(30)]];  // that a threadgroup works on
constant bool SPLIT [[function_constant(31)]];  // the keys are, between threadgroups

constant uint GROUP = HEADS / KV_HEADS;
constant uint KEY_QUADS = (HEAD_DIM + 3) / 4;
constant uint VALUE_QUADS = (VALUE_DIM + 3) / 4;

struct AttentionArgs {
  long window;
  ulong mask_batch, mask_head, mask_query, mask_slot;  // strides, 0 where the mask is broadcast
  uint batch, queries, capacity, sequences, splits;
  uint q_pos_stride, kv_len_stride, ring_start_stride;  // 0: one for all sequences
  float scale, softcap;
  uint slot;
};

#define ATTENTION_OPERANDS                                                                                                          \
  constant AttentionArgs &args [[buffer(0)]], device const uchar *q [[buffer(1)]], device const uchar *k [[buffer(2)]],             \
      device const uchar *v [[buffer(3)]], device const uchar *mask [[buffer(4), function_constant(HAS_MASK)]],                     \
      device const uchar *q_pos [[buffer(5), function_constant(HAS_Q_POS)]],                                                        \
      device const uchar *kv_len [[buffer(6), function_constant(HAS_KV_LEN)]],                                                      \
      device const uchar *sinks [[buffer(7), function_constant(HAS_SINKS)]],                                                        \
      device const uchar *ring_start [[buffer(8), function_constant(HAS_RING_START)]],                                              \
      device const uchar *slots [[buffer(9), function_constant(HAS_SLOTS)]],                                                        \
      device const float *k_norms [[buffer(10), function_constant(HAS_K_NORMS)]],                                                   \
      device const float *v_norms [[buffer(11), function_constant(HAS_V_NORMS)]]

// The integers that say where keys are.
struct Placing {
  device const uchar *q_pos, *kv_len, *ring_start, *slots;
};
inline Placing placing_of(device const uchar *q_pos, device const uchar *kv_len, device const uchar *ring_start, device const uchar *slots) {
  Placing p;
  p.q_pos = q_pos;
  p.kv_len = kv_len;
  p.ring_start = ring_start;
  p.slots = slots;
  return p;
}
// Where the keys of a sequence lie: key j in slot (first + j) % capacity. `start` is the position of the first query.
struct Place {
  long start;
  uint length, first, sequence;
};

// Refusals: the sequence, the most that is allowed, what was given.
constant uint WRONG_KV_LEN = 1;
constant uint WRONG_RING_START = 2;
constant uint WRONG_Q_POS = 3;
constant uint WRONG_SLOT = 4;
constant long FARTHEST = 1L << 53;  // position, so that sums of positions do not overflow

struct Wrong {
  uint code;  // 0: nothing is
  long most, value;
};
inline Wrong wrong_unless(uint code, long least, long most, long value) {
  Wrong w;
  w.code = value < least || value > most ? code : 0;
  w.most = most;
  w.value = value;
  return w;
}
// The first of a sequence's integers that is outside of what it may be.
inline Wrong wrong_place(Placing p, constant AttentionArgs &args, uint b) {
  Wrong w;
  w.code = 0;
  if (HAS_KV_LEN) w = wrong_unless(WRONG_KV_LEN, 0, args.capacity, load_int(p.kv_len, KV_LEN_TYPE, b * args.kv_len_stride));
  if (HAS_RING_START && w.code == 0)
    w = wrong_unless(WRONG_RING_START, 0, max(args.capacity, 1u) - 1, load_int(p.ring_start, RING_START_TYPE, b * args.ring_start_stride));
  if (HAS_Q_POS && w.code == 0) w = wrong_unless(WRONG_Q_POS, -FARTHEST, FARTHEST, load_int(p.q_pos, Q_POS_TYPE, b * args.q_pos_stride));
  if (HAS_SLOTS && w.code == 0) w = wrong_unless(WRONG_SLOT, 0, long(args.sequences) - 1, load_int(p.slots, SLOTS_TYPE, b));
  return w;
}
// Called by one thread of the launch for each sequence; the first one that is wrong is reported.
inline void report_place(device Status *status, Placing p, constant AttentionArgs &args, uint b) {
  const Wrong w = wrong_place(p, args, b);
  if (w.code == 0) return;
  for (uint i = 0; i < b; i++)
    if (wrong_place(p, args, i).code != 0) return;
  report(status, args.slot, w.code, b, w.most, w.value);
}
// A sequence with a wrong integer has no keys: nothing is read of it.
inline Place place_of(Placing p, constant AttentionArgs &args, uint b) {
  Place at;
  const bool wrong = wrong_place(p, args, b).code != 0;
  at.length = wrong ? 0 : HAS_KV_LEN ? uint(load_int(p.kv_len, KV_LEN_TYPE, b * args.kv_len_stride)) : args.capacity;
  at.first = HAS_RING_START && !wrong ? uint(load_int(p.ring_start, RING_START_TYPE, b * args.ring_start_stride)) : 0;
  at.sequence = HAS_SLOTS && !wrong ? uint(load_int(p.slots, SLOTS_TYPE, b)) : b;
  at.start = HAS_Q_POS && !wrong ? load_int(p.q_pos, Q_POS_TYPE, b * args.q_pos_stride) : long(at.length) - long(args.queries);
  return at;
}
inline uint slot_of(Place at, constant AttentionArgs &args, uint key) {
  const ulong slot = ulong(at.first) + key;
  return uint(slot < args.capacity ? slot : slot - args.capacity);
}

// Keys [low, high); none: low == high.
struct Span {
  uint low, high;
};
// What a query sees but for masks.
inline Span span_of(Place at, constant AttentionArgs &args, uint query) {
  const long position = at.start + query, length = at.length;
  const long low = HAS_WINDOW ? position - args.window + 1 : 0, high = CAUSAL ? position + 1 : length;
  Span s;
  s.low = uint(min(max(low, 0L), length));
  s.high = uint(min(max(high, long(s.low)), length));
  return s;
}
inline Span no_keys() {
  Span s;
  s.low = s.high = 0;
  return s;
}
// From the first to the last key of both.
inline Span hull_of(Span a, Span b) {
  if (a.low == a.high) return b;
  if (b.low == b.high) return a;
  Span s;
  s.low = min(a.low, b.low);
  s.high = max(a.high, b.high);
  return s;
}
inline bool holds(Span s, uint key) { return key >= s.low && key < s.high; }

// A row among those of its key head, in a batch row.
struct Row {
  uint query, head;
};
inline Row row_of(uint kv_head, uint row) {
  Row r;
  r.query = row / GROUP;
  r.head = kv_head * GROUP + row % GROUP;
  return r;
}
inline ulong place_in_output(constant AttentionArgs &args, uint b, Row r) { return (ulong(b) * args.queries + r.query) * HEADS + r.head; }
inline ulong place_in_mask(constant AttentionArgs &args, uint b, Row r) {
  return b * args.mask_batch + r.head * args.mask_head + r.query * args.mask_query;
}

// The rows of a threadgroup: `count` of a key head from `first` on, in a batch row.
struct Tile {
  uint b, kv_head, first, count;
};
inline Tile tile_of(constant AttentionArgs &args, uint b, uint kv_head, uint first, uint most) {
  const uint rows = args.queries * GROUP;
  Tile t;
  t.b = b;
  t.kv_head = kv_head;
  t.first = first;
  t.count = first < rows ? min(most, rows - first) : 0;
  return t;
}
inline Row row_of(Tile tile, uint i) { return row_of(tile.kv_head, tile.first + i); }

// A thread of a threadgroup.
struct Team {
  uint index, threads;
};
inline Team team_of(uint index, uint threads) {
  Team t;
  t.index = index;
  t.threads = threads;
  return t;
}

// The score of a key out of its product with the query; -INFINITY where the mask hides it.
inline float score_of(float product, constant AttentionArgs &args, device const uchar *mask, ulong mask_at) {
  float score = product * args.scale;
  if (HAS_SOFTCAP) score = args.softcap * tanh(score / args.softcap);
  if (HAS_MASK && KEEP) return mask[mask_at] != 0 ? score : -INFINITY;
  if (HAS_MASK) score += load_float(mask, MASK_TYPE, mask_at);
  return score;
}
// What a score counts as for the largest one: after a NaN, weights are zero or NaN, and so is everything that is made of them.
inline float peak_of(float score) { return isnan(score) ? INFINITY : score; }
