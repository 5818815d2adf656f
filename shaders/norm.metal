// rms_norm, layer_norm, both after the addition of a residual, and group_norm.
#include "rows.h"

constant uint X_TYPE [[function_constant(2)]];
constant bool CENTERED [[function_constant(3)]];
constant bool RESIDUAL [[function_constant(4)]];
constant bool HAS_WEIGHT [[function_constant(5)]];
constant uint WEIGHT_TYPE [[function_constant(6)]];
constant bool HAS_BIAS [[function_constant(7)]];
constant uint BIAS_TYPE [[function_constant(8)]];

// Mean (0 unless centered) and 1 / sqrt(variance + eps) of n elements: two passes, so that the variance of values with a large mean does not cancel.
struct Moments {
  float mean, scale;
};
inline Moments moments(device const uchar *x, ulong start, uint n, float eps, threadgroup float (*partial)[32], Team t) {
  Moments m;
  m.mean = 0;
  const ulong end = start + n;
  if (CENTERED) {
    float sum = 0;
    for (uint i = t.index * 4; i < n; i += t.threads * 4) {
      const float4 v = load_quad(x, X_TYPE, start + i, end, 0);
      sum += (v.x + v.y) + (v.z + v.w);
    }
    m.mean = fold_team<Sum>(sum, partial[0], t) / float(n);
  }
  float squares = 0;
  for (uint i = t.index * 4; i < n; i += t.threads * 4) {
    const float4 d = load_quad(x, X_TYPE, start + i, end, m.mean) - m.mean;
    squares += dot(d, d);
  }
  m.scale = rsqrt(fold_team<Sum>(squares, partial[1], t) / float(n) + eps);
  return m;
}

// x, residual, sum, out: rows of n elements; weight, bias [n].
struct NormArgs {
  uint rows, n;
  float eps;
};
kernel void norm(constant NormArgs &args [[buffer(0)]],
                 device const uchar *x [[buffer(1)]],
                 device const uchar *residual [[buffer(2), function_constant(RESIDUAL)]],
                 device const uchar *weight [[buffer(3), function_constant(HAS_WEIGHT)]],
                 device const uchar *bias [[buffer(4), function_constant(HAS_BIAS)]],
                 device uchar *sum [[buffer(5), function_constant(RESIDUAL)]],
                 device uchar *out [[buffer(6)]],
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
  device const uchar *values = x;
  if (RESIDUAL) {
    // The norm reads the rounded sum, each thread what it wrote itself.
    for (uint i = t.index * 4; i < n; i += t.threads * 4)
      store_quad(sum, X_TYPE, start + i, end, load_quad(x, X_TYPE, start + i, end, 0) + load_quad(residual, X_TYPE, start + i, end, 0));
    values = sum;
  }
  const Moments m = moments(values, start, n, args.eps, partial, t);
  for (uint i = t.index * 4; i < n; i += t.threads * 4) {
    float4 v = (load_quad(values, X_TYPE, start + i, end, 0) - m.mean) * m.scale;
    if (HAS_WEIGHT) v *= load_quad(weight, WEIGHT_TYPE, i, n, 1);
    if (HAS_BIAS) v += load_quad(bias, BIAS_TYPE, i, n, 0);
    store_quad(out, X_TYPE, start + i, end, v);
  }
}

// x, out [N, groups, channels per group, positions]: a row per group; weight, bias [groups * channels per group].
struct GroupNormArgs {
  uint rows, groups, channels, positions;
  float eps;
};
kernel void group_norm(constant GroupNormArgs &args [[buffer(0)]],
                       device const uchar *x [[buffer(1)]],
                       device const uchar *weight [[buffer(2), function_constant(HAS_WEIGHT)]],
                       device const uchar *bias [[buffer(3), function_constant(HAS_BIAS)]],
                       device uchar *out [[buffer(4)]],
                       uint threadgroup_index [[threadgroup_position_in_grid]],
                       uint thread_index [[thread_index_in_threadgroup]],
                       uint lane [[thread_index_in_simdgroup]],
                       uint group [[simdgroup_index_in_threadgroup]],
                       uint groups [[simdgroups_per_threadgroup]]) {
  threadgroup float partial[2][32];
  const Team t = team_of(threadgroup_index, thread_index, lane, group, groups);
  if (t.work >= args.rows) return;
  const uint n = args.channels * args.positions, first = t.work % args.groups * args.channels;
  const ulong start = ulong(t.work) * n, end = start + n;
  const Moments m = moments(x, start, n, args.eps, partial, t);
  for (uint i = t.index * 4; i < n; i += t.threads * 4) {
    float4 v = (load_quad(x, X_TYPE, start + i, end, 0) - m.mean) * m.scale;
    for (uint k = 0; k < 4 && i + k < n; k++) {
      const uint channel = first + (i + k) / args.positions;
      if (HAS_WEIGHT) v[k] *= load_float(weight, WEIGHT_TYPE, channel);
      if (HAS_BIAS) v[k] += load_float(bias, BIAS_TYPE, channel);
    }
    store_quad(out, X_TYPE, start + i, end, v);
  }
}
