// The threads that share a piece of work, and folds over the values of all of them.
#pragma once
#include "common.h"

enum TeamKind : uint { ONE_THREAD, ONE_SIMDGROUP, ONE_THREADGROUP };
constant uint TEAM [[function_constant(0)]];

// A thread of team number `work`. The last threadgroup may have teams without work.
struct Team {
  uint work, index, threads, lane, group, groups;
};
inline Team team_of(uint threadgroup_index, uint thread_index, uint lane, uint group, uint groups) {
  Team t;
  t.work = TEAM == ONE_THREAD ? threadgroup_index * groups * 32 + thread_index : TEAM == ONE_SIMDGROUP ? threadgroup_index * groups + group : threadgroup_index;
  t.index = TEAM == ONE_THREAD ? 0 : TEAM == ONE_SIMDGROUP ? lane : thread_index;
  t.threads = TEAM == ONE_THREAD ? 1 : TEAM == ONE_SIMDGROUP ? 32 : groups * 32;
  t.lane = lane;
  t.group = group;
  t.groups = groups;
  return t;
}

// The value of another lane; simdgroup functions know no 64-bit integers.
inline float from_lane(float v, ushort mask) { return simd_shuffle_xor(v, mask); }
inline long from_lane(long v, ushort mask) { return as_type<long>(simd_shuffle_xor(as_type<uint2>(v), mask)); }

// F::combine over all lanes; it is commutative, so that every lane has the same result.
template <typename F, typename T>
inline T combine_lanes(T v) {
  for (ushort mask = 16; mask > 0; mask >>= 1) v = F::combine(v, from_lane(v, mask));
  return v;
}

struct Sum {
  static float identity() { return 0.0f; }
  static float across(float v) { return simd_sum(v); }
};
// Of the values that are no NaN.
struct Largest {
  static float identity() { return -INFINITY; }
  static float across(float v) { return simd_max(v); }
};

// F::across, which folds the lanes of a simdgroup, over a team; every thread gets the result. `partial` has a place per simdgroup and is used once.
template <typename F, typename T>
inline T fold_team(T v, threadgroup T *partial, Team t) {
  if (TEAM == ONE_THREAD) return v;
  v = F::across(v);
  if (TEAM == ONE_SIMDGROUP) return v;
  if (t.lane == 0) partial[t.group] = v;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  v = F::identity();
  if (t.lane < t.groups) v = partial[t.lane];
  return F::across(v);
}
