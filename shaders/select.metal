// argmax, argmin: the first of the elements that no other one is above.
#include "order.h"
#include "teams.h"

constant uint X_TYPE [[function_constant(1)]];
constant bool LEAST [[function_constant(2)]];
constant bool FROM_CANDIDATES [[function_constant(3)]];  // x has the candidates of parts
constant bool TO_CANDIDATES [[function_constant(4)]];    // out gets them

struct Candidate {
  ulong order;
  uint index, reserved;
};
inline Candidate from_lane(Candidate c, ushort mask) {
  Candidate other;
  other.order = as_type<ulong>(simd_shuffle_xor(as_type<uint2>(c.order), mask));
  other.index = simd_shuffle_xor(c.index, mask);
  return other;
}
struct First {
  static Candidate identity() { return Candidate{0, 0xffffffffu, 0}; }
  static Candidate combine(Candidate a, Candidate b) { return b.order > a.order || (b.order == a.order && b.index < a.index) ? b : a; }
  static Candidate across(Candidate c) { return combine_lanes<First>(c); }
};

// x [outer, length, inner] or, from candidates, [outer * inner, length]; out [outer * inner, parts], a part of `part` elements each.
struct ArgArgs {
  uint outputs, length, inner, part, parts;
};
kernel void arg(constant ArgArgs &args [[buffer(0)]],
                device const uchar *x [[buffer(1)]],
                device uchar *out [[buffer(2)]],
                uint2 threadgroup_place [[threadgroup_position_in_grid]],
                uint thread_index [[thread_index_in_threadgroup]],
                uint lane [[thread_index_in_simdgroup]],
                uint group [[simdgroup_index_in_threadgroup]],
                uint groups [[simdgroups_per_threadgroup]]) {
  threadgroup Candidate partial[32];
  const Team t = team_of(threadgroup_place.x, thread_index, lane, group, groups);
  if (t.work >= args.outputs) return;
  const uint begin = threadgroup_place.y * args.part, end = min(begin + args.part, args.length);
  const ulong start = (ulong(t.work / args.inner) * args.length) * args.inner + t.work % args.inner;
  Candidate best = First::identity();
  for (uint i = begin + t.index; i < end; i += t.threads) {
    Candidate c;
    if (FROM_CANDIDATES) c = ((device const Candidate *)x)[ulong(t.work) * args.length + i];
    else {
      c.order = order_at(x, X_TYPE, start + ulong(i) * args.inner);
      if (LEAST) c.order = ~c.order;
      c.index = i;
    }
    best = First::combine(best, c);
  }
  best = fold_team<First>(best, partial, t);
  if (t.index > 0) return;
  const ulong to = ulong(t.work) * args.parts + threadgroup_place.y;
  if (TO_CANDIDATES) ((device Candidate *)out)[to] = best;
  else ((device int *)out)[to] = int(best.index);
}
