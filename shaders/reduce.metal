// Reductions over any set of axes: floats in f32, integers in wrapping i64.
#include "numbers.h"
#include "scalar.h"
#include "teams.h"

enum FoldKind : uint { SUM, PRODUCT, MAXIMUM, MINIMUM };
constant uint X_TYPE [[function_constant(1)]];
constant uint OUT_TYPE [[function_constant(2)]];
constant uint FOLD [[function_constant(3)]];
constant bool MEAN [[function_constant(4)]];
constant uint KEPT [[function_constant(5)]];     // axes that are kept
constant uint REDUCED [[function_constant(6)]];  // axes that are not

inline float identity_of(float) { return FOLD == PRODUCT ? 1.0f : FOLD == MAXIMUM ? -INFINITY : FOLD == MINIMUM ? INFINITY : 0.0f; }
inline long identity_of(long) { return FOLD == PRODUCT ? 1 : FOLD == MAXIMUM ? numeric_limits<long>::min() : FOLD == MINIMUM ? numeric_limits<long>::max() : 0; }
inline float mean_of(float sum, uint count) { return MEAN ? sum / float(count) : sum; }
inline long mean_of(long sum, uint) { return sum; }
template <typename T>
struct Fold {
  static T identity() { return identity_of(T(0)); }
  static T combine(T a, T b) { return FOLD == PRODUCT ? times(a, b) : FOLD == MAXIMUM ? scalar_max(a, b) : FOLD == MINIMUM ? scalar_min(a, b) : plus(a, b); }
  static T across(T v) { return combine_lanes<Fold<T>>(v); }
};

// Neighbouring axes of a kind are joined, so that there are at most 4 of each; strides in elements, 0 of axes that are not there. `terms` are the elements
// of a result, of which a team folds `part`; out [outputs, parts]. A mean divides by `count`.
struct ReduceArgs {
  ulong kept_strides[4], reduced_strides[4];
  uint kept[4], reduced[4];
  uint outputs, terms, part, parts, count;
};
template <typename T>
kernel void reduce(constant ReduceArgs &args [[buffer(0)]],
                   device const uchar *x [[buffer(1)]],
                   device uchar *out [[buffer(2)]],
                   uint2 threadgroup_place [[threadgroup_position_in_grid]],
                   uint thread_index [[thread_index_in_threadgroup]],
                   uint lane [[thread_index_in_simdgroup]],
                   uint group [[simdgroup_index_in_threadgroup]],
                   uint groups [[simdgroups_per_threadgroup]]) {
  threadgroup T partial[32];
  const Team t = team_of(threadgroup_place.x, thread_index, lane, group, groups);
  if (t.work >= args.outputs) return;
  ulong base = 0;
  uint rest = t.work;
  for (uint i = KEPT; i-- > 0; rest /= args.kept[i]) base += rest % args.kept[i] * args.kept_strides[i];
  const uint begin = threadgroup_place.y * args.part, end = min(begin + args.part, args.terms);
  T sum = Fold<T>::identity();
  for (uint term = begin + t.index; term < end; term += t.threads) {
    ulong at = base;
    rest = term;
    for (uint i = REDUCED; i-- > 1; rest /= args.reduced[i]) at += rest % args.reduced[i] * args.reduced_strides[i];
    at += rest * args.reduced_strides[0];
    sum = Fold<T>::combine(sum, load_number(x, X_TYPE, at, T(0)));
  }
  sum = fold_team<Fold<T>>(sum, partial, t);
  if (t.index == 0) store_number(out, OUT_TYPE, ulong(t.work) * args.parts + threadgroup_place.y, mean_of(sum, args.count));
}
template [[host_name("reduce_float")]] kernel decltype(reduce<float>) reduce<float>;
template [[host_name("reduce_int")]] kernel decltype(reduce<long>) reduce<long>;
