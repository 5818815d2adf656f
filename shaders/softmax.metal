// softmax and log_softmax along any axis.
#include "rows.h"

constant uint X_TYPE [[function_constant(2)]];
constant bool LOG [[function_constant(3)]];

// The largest element is subtracted first, so that nothing overflows.
struct Normalizer {
  float largest, sum;
};
inline float normalized(float v, Normalizer z) { return LOG ? v - z.largest - log(z.sum) : exp(v - z.largest) / z.sum; }

struct SoftmaxArgs {
  uint rows, n;
};
kernel void softmax_rows(constant SoftmaxArgs &args [[buffer(0)]],
                         device const uchar *x [[buffer(1)]],
                         device uchar *out [[buffer(2)]],
                         uint threadgroup_index [[threadgroup_position_in_grid]],
                         uint thread_index [[thread_index_in_threadgroup]],
                         uint lane [[thread_index_in_simdgroup]],
                         uint group [[simdgroup_index_in_threadgroup]],
                         uint groups [[simdgroups_per_threadgroup]]) {
  threadgroup float partial[2][32];
  const Team t = team_of(threadgroup_index, thread_index, lane, group, groups);
  if (t.work >= args.rows) return;
  const uint n = args.n;
  const ulong start = ulong(t.work) * n, end = start + n;
  float4 largest = float4(-INFINITY);
  for (uint i = t.index * 4; i < n; i += t.threads * 4) largest = fmax(largest, load_quad(x, X_TYPE, start + i, end, -INFINITY));
  Normalizer z;
  z.largest = fold_team<Largest>(fmax(fmax(largest.x, largest.y), fmax(largest.z, largest.w)), partial[0], t);
  float sum = 0;
  for (uint i = t.index * 4; i < n; i += t.threads * 4) {
    const float4 e = exp(load_quad(x, X_TYPE, start + i, end, -INFINITY) - z.largest);
    sum += (e.x + e.y) + (e.z + e.w);
  }
  z.sum = fold_team<Sum>(sum, partial[1], t);
  for (uint i = t.index * 4; i < n; i += t.threads * 4) {
    float4 v = load_quad(x, X_TYPE, start + i, end, 0);
    for (uint k = 0; k < 4; k++) v[k] = normalized(v[k], z);
    store_quad(out, X_TYPE, start + i, end, v);
  }
}

// x [outer, length, inner]: a thread per lane, whose neighbours are the next lanes.
struct SoftmaxLanesArgs {
  uint length, inner;
};
kernel void softmax_lanes(constant SoftmaxLanesArgs &args [[buffer(0)]],
                          device const uchar *x [[buffer(1)]],
                          device uchar *out [[buffer(2)]],
                          uint2 at [[thread_position_in_grid]]) {
  const ulong start = ulong(at.y) * args.length * args.inner + at.x;
  Normalizer z;
  z.largest = -INFINITY;
  z.sum = 0;
  for (uint j = 0; j < args.length; j++) z.largest = fmax(z.largest, load_float(x, X_TYPE, start + ulong(j) * args.inner));
  for (uint j = 0; j < args.length; j++) z.sum += exp(load_float(x, X_TYPE, start + ulong(j) * args.inner) - z.largest);
  for (uint j = 0; j < args.length; j++) {
    const ulong place = start + ulong(j) * args.inner;
    store_float(out, X_TYPE, place, normalized(load_float(x, X_TYPE, place), z));
  }
}
