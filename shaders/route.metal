// moe_route: the k experts of every token with the largest logits, and their weights. A threadgroup per token.
#include "numbers.h"
#include "order.h"
#include "scalar.h"
#include "teams.h"

constant uint X_TYPE [[function_constant(1)]];
constant bool SIGMOID [[function_constant(2)]];
constant bool NORMALIZE [[function_constant(3)]];
constexpr constant uint MOST_EXPERTS = 2048, MOST = 256;

struct RouteArgs {
  uint experts, k;
};
kernel void moe_route(constant RouteArgs &args [[buffer(0)]],
                      device const uchar *logits [[buffer(1)]],
                      device float *weights [[buffer(2)]],
                      device int *experts [[buffer(3)]],
                      uint token [[threadgroup_position_in_grid]],
                      uint thread_index [[thread_index_in_threadgroup]],
                      uint lane [[thread_index_in_simdgroup]],
                      uint group [[simdgroup_index_in_threadgroup]],
                      uint groups [[simdgroups_per_threadgroup]]) {
  threadgroup uint orders[MOST_EXPERTS];
  threadgroup float scores[MOST], partial[3][32];
  const Team t = team_of(token, thread_index, lane, group, groups);
  const ulong row = ulong(token) * args.experts;
  float largest = -INFINITY;
  for (uint e = t.index; e < args.experts; e += t.threads) {
    const float v = load_float(logits, X_TYPE, row + e);
    orders[e] = order_of(v);
    largest = fmax(largest, v);
  }
  // Its barrier is also that of `orders`.
  largest = fold_team<Largest>(largest, partial[0], t);
  float all = 0;
  for (uint e = t.index; e < args.experts; e += t.threads) all += exp(load_float(logits, X_TYPE, row + e) - largest);
  all = fold_team<Sum>(all, partial[1], t);
  for (uint e = t.index; e < args.experts; e += t.threads) {
    // How many come before this one.
    const uint own = orders[e];
    uint position = 0;
    for (uint i = 0; i < args.experts; i++) position += orders[i] > own || (orders[i] == own && i < e) ? 1 : 0;
    if (position >= args.k) continue;
    const float v = load_float(logits, X_TYPE, row + e);
    scores[position] = SIGMOID ? scalar_sigmoid(v) : exp(v - largest) / all;
    experts[ulong(token) * args.k + position] = int(e);
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  float total = 0;
  for (uint j = t.index; j < args.k; j += t.threads) total += scores[j];
  total = fold_team<Sum>(total, partial[2], t);
  for (uint j = t.index; j < args.k; j += t.threads) weights[ulong(token) * args.k + j] = NORMALIZE ? scores[j] / total : scores[j];
}
