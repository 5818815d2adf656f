// Attention of few rows per key head: the keys are split between simdgroups, and between threadgroups where there are many of them.
//
// A threadgroup has ROWS rows of one key head, up to 8 simdgroups of 32 lanes, and a part of the keys, from which its simdgroups take blocks of 32 in
// turn. Every key is read once for all rows: HEAD_DIM + VALUE_DIM values, by 4 lanes as quads (scores) and by up to 32 lanes (values). An online
// softmax goes from block to block. Partial results merge in a fixed order: of simdgroups in threadgroup memory, of threadgroups by a second launch
// (SPLIT) that reads VALUE_DIM + 2 floats for each of them and row.
// Threadgroup memory: queries or results, ROWS * max(HEAD_DIM, VALUE_DIM) floats; weights, 32 * ROWS per simdgroup; tables of codes.
// R: ROWS at most; Q: quads of values per lane. R * Q <= 16, so that sums stay in registers.
#include "attention_cache.h"
#include "attention_rows.h"

constant uint BLOCK = 32;       // keys per simdgroup
constant uint MAX_SIMDGROUPS = 8;
constant uint MAX_ROWS = 8;
constant uint RECORD_TAIL = 4;  // floats behind a record's values: the largest score, the sum of weights

constant uint KEY_STRIDE = KEY_QUADS * 4;
constant uint VALUE_STRIDE = VALUE_QUADS * 4;
// Lanes that read one vector of values: a power of two, so that the others read further ones.
constant uint VALUE_LANES = VALUE_QUADS > 16 ? 32 : VALUE_QUADS > 8 ? 16 : VALUE_QUADS > 4 ? 8 : VALUE_QUADS > 2 ? 4 : VALUE_QUADS;

// The keys of a threadgroup's share of those that its rows see: whole blocks for every simdgroup.
inline Span share_of(Span all, uint split, uint splits, uint simdgroups) {
  const uint step = BLOCK * simdgroups, count = all.high - all.low;
  const uint each = max((count + splits - 1) / splits, 1u);
  const ulong size = ulong(each + step - 1) / step * step, from = all.low + split * size;
  Span s;
  s.low = uint(min(from, ulong(all.high)));
  s.high = uint(min(from + size, ulong(all.high)));
  return s;
}

// Where the record of a row's split begins, in floats.
inline ulong record_at(constant AttentionArgs &args, uint b, Row row, uint split) {
  return (place_in_output(args, b, row) * args.splits + split) * (VALUE_STRIDE + RECORD_TAIL);
}

template <uint R, uint Q>
kernel void attention_decode(ATTENTION_OPERANDS,
                             device uchar *out [[buffer(12)]],
                             device float *records [[buffer(13), function_constant(SPLIT)]],
                             device Status *status [[buffer(14)]],
                             threadgroup float *rows [[threadgroup(0)]],
                             threadgroup float *all_weights [[threadgroup(1)]],
                             threadgroup float *k_centroids [[threadgroup(2)]],
                             threadgroup float *v_centroids [[threadgroup(3)]],
                             uint3 at [[threadgroup_position_in_grid]],
                             uint3 grid [[threadgroups_per_grid]],
                             uint index [[thread_index_in_threadgroup]],
                             uint lane [[thread_index_in_simdgroup]],
                             uint simdgroup [[simdgroup_index_in_threadgroup]],
                             uint simdgroups [[simdgroups_per_threadgroup]]) {
  threadgroup float all_tops[MAX_SIMDGROUPS * MAX_ROWS], all_totals[MAX_SIMDGROUPS * MAX_ROWS], factors[MAX_ROWS];
  Placing placing;
  placing.q_pos = q_pos;
  placing.kv_len = kv_len;
  placing.ring_start = ring_start;
  placing.slots = slots;
  const uint b = at.z;
  if (at.x == 0 && at.y == 0 && index == 0) report_place(status, placing, args, b);
  const Place place = place_of(placing, args, b);

  const uint tiles = grid.y / KV_HEADS, all_rows = args.queries * GROUP;
  Tile tile;
  tile.b = b;
  tile.kv_head = at.y / tiles;
  tile.first = at.y % tiles * ROWS;
  tile.count = tile.first < all_rows ? min(ROWS, all_rows - tile.first) : 0;
  Team team;
  team.index = index;
  team.threads = simdgroups * 32;

  Span spans[R], seen;
  ulong mask_at[R];
  seen.low = place.length;
  seen.high = 0;
  for (uint r = 0; r < ROWS; r++) {
    const Row row = row_of(tile.kv_head, tile.first + r);
    spans[r].low = spans[r].high = 0;
    mask_at[r] = place_in_mask(args, b, row);
    if (r >= tile.count) continue;
    spans[r] = span_of(place, args, row.query);
    if (spans[r].low == spans[r].high) continue;
    seen.low = min(seen.low, spans[r].low);
    seen.high = max(seen.high, spans[r].high);
  }
  if (seen.high < seen.low) seen.low = seen.high;
  const Span share = share_of(seen, at.x, args.splits, simdgroups);

  load_queries(rows, KEY_STRIDE, q, args, tile, team);
  load_centroids(k_centroids, K_CODEC, team);
  load_centroids(v_centroids, V_CODEC, team);
  const ulong first = first_vector(args, place.sequence, tile.kv_head);
  const Side keys = side_of(K_TYPE, K_CODEC, HEAD_DIM, K_QUADS, k, k_norms, k_centroids, first);
  const Side values = side_of(V_TYPE, V_CODEC, VALUE_DIM, V_QUADS, v, v_norms, v_centroids, first);
  threadgroup_barrier(mem_flags::mem_threadgroup);

  float tops[R], totals[R];
  float4 sums[R][Q];
  for (uint r = 0; r < ROWS; r++) {
    tops[r] = -INFINITY;
    totals[r] = 0;
    for (uint i = 0; i < Q; i++) sums[r][i] = float4(0);
  }
  threadgroup float *weights = all_weights + simdgroup * BLOCK * ROWS;
  for (uint block = share.low + simdgroup * BLOCK; block < share.high; block += simdgroups * BLOCK) {
    // Four lanes a key; lane l is left with the products of key l of the block.
    float products[R];
    for (uint i = 0; i < 4; i++) {
      const uint key = block + lane / 4 * 4 + i;
      float part[R];
      for (uint r = 0; r < ROWS; r++) part[r] = 0;
      if (key < share.high) {
        const Vector x = vector_in(keys, slot_of(place, args, key));
        for (uint quad = lane % 4; quad < KEY_QUADS; quad += 4) {
          const float4 y = quad_of(keys, x, quad);
          for (uint r = 0; r < ROWS; r++) {
            const float4 query = *(threadgroup const float4 *)(rows + r * KEY_STRIDE + quad * 4);
            part[r] = fma(query.x, y.x, fma(query.y, y.y, fma(query.z, y.z, fma(query.w, y.w, part[r]))));
          }
        }
      }
      for (uint r = 0; r < ROWS; r++) {
        const float product = quad_sum(part[r]);
        if (lane % 4 == i) products[r] = product;
      }
    }

    const uint key = block + lane, slot = key < share.high ? slot_of(place, args, key) : 0;
    for (uint r = 0; r < ROWS; r++) {
      float score = -INFINITY;
      if (key < share.high && holds(spans[r], key)) score = score_of(products[r], args, mask, mask_at[r] + slot * args.mask_slot);
      const bool is_seen = score != -INFINITY;
      const float top = max(tops[r], simd_max(peak_of(score)));
      // Of a key that is not seen, nothing is used, whatever its value; -1 says so.
      float weight = is_seen ? exp(score - top) : 0.0f;
      if (top != -INFINITY) {
        const float keep = exp(tops[r] - top);
        totals[r] = totals[r] * keep + simd_sum(weight);
        for (uint i = 0; i < Q; i++) sums[r][i] *= keep;
        tops[r] = top;
      }
      weights[lane * ROWS + r] = is_seen ? weight : -1.0f;
    }
    simdgroup_barrier(mem_flags::mem_threadgroup);
    for (uint j = lane / VALUE_LANES; j < BLOCK && block + j < share.high; j += 32 / VALUE_LANES) {
      const Vector x = vector_in(values, slot_of(place, args, block + j));
      for (uint i = 0; i < Q; i++) {
        const uint quad = i * VALUE_LANES + lane % VALUE_LANES;
        if (quad >= VALUE_QUADS) break;
        const float4 y = quad_of(values, x, quad);
        for (uint r = 0; r < ROWS; r++) {
          const float weight = weights[j * ROWS + r];
          if (!(weight < 0)) sums[r][i] = fma(float4(weight), y, sums[r][i]);
        }
      }
    }
    simdgroup_barrier(mem_flags::mem_threadgroup);
  }

  for (uint r = 0; r < ROWS; r++) {
    for (uint i = 0; i < Q; i++)
      for (uint step = VALUE_LANES; step < 32; step *= 2) sums[r][i] += simd_shuffle_xor(sums[r][i], step);
    if (lane > 0) continue;
    all_tops[simdgroup * ROWS + r] = tops[r];
    all_totals[simdgroup * ROWS + r] = totals[r];
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  // One simdgroup after the other adds its values.
  for (uint g = 0; g < simdgroups; g++) {
    for (uint r = 0; r < ROWS && g == simdgroup && lane < VALUE_LANES; r++) {
      float top = -INFINITY;
      for (uint h = 0; h < simdgroups; h++) top = max(top, all_tops[h * ROWS + r]);
      const float keep = top == -INFINITY ? 0.0f : exp(tops[r] - top);
      for (uint i = 0; i < Q; i++) {
        const uint quad = i * VALUE_LANES + lane;
        if (quad >= VALUE_QUADS) break;
        threadgroup float4 &result = *(threadgroup float4 *)(rows + r * VALUE_STRIDE + quad * 4);
        result = g == 0 ? sums[r][i] * keep : result + sums[r][i] * keep;
      }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }
  float top = -INFINITY, total = 0;
  if (index < tile.count) {
    for (uint g = 0; g < simdgroups; g++) top = max(top, all_tops[g * ROWS + index]);
    for (uint g = 0; g < simdgroups && top != -INFINITY; g++) total = fma(all_totals[g * ROWS + index], exp(all_tops[g * ROWS + index] - top), total);
  }
  if (SPLIT) {
    if (index < tile.count) {
      device float *tail = records + record_at(args, b, row_of(tile.kv_head, tile.first + index), at.x) + VALUE_STRIDE;
      tail[0] = top;
      tail[1] = total;
    }
    for (uint i = index; i < tile.count * VALUE_STRIDE; i += team.threads)
      records[record_at(args, b, row_of(tile.kv_head, tile.first + i / VALUE_STRIDE), at.x) + i % VALUE_STRIDE] = rows[i];
    return;
  }
  if (index < tile.count) factors[index] = normalizer(sinks, row_of(tile.kv_head, tile.first + index).head, top, total);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  store_rows(rows, VALUE_STRIDE, factors, out, args, tile, team);
}

// The records of a row, one for each split of the keys, to its output: a threadgroup for each row. What a split without keys left behind is not read.
kernel void attention_merge(constant AttentionArgs &args [[buffer(0)]],
                            device const float *records [[buffer(1)]],
                            device const uchar *sinks [[buffer(2), function_constant(HAS_SINKS)]],
                            device uchar *out [[buffer(3)]],
                            threadgroup float *values [[threadgroup(0)]],
                            uint3 at [[threadgroup_position_in_grid]],
                            uint index [[thread_index_in_threadgroup]],
                            uint3 threads [[threads_per_threadgroup]]) {
  threadgroup float factor[1];
  Tile tile;
  tile.b = at.z;
  tile.kv_head = at.y;
  tile.first = at.x;
  tile.count = 1;
  Team team;
  team.index = index;
  team.threads = threads.x;
  const Row row = row_of(tile.kv_head, tile.first);
  device const float *first = records + record_at(args, tile.b, row, 0);
  const uint record = VALUE_STRIDE + RECORD_TAIL;
  float top = -INFINITY, total = 0;
  for (uint s = 0; s < args.splits; s++) top = max(top, first[s * record + VALUE_STRIDE]);
  for (uint quad = index; quad < VALUE_QUADS; quad += team.threads) *(threadgroup float4 *)(values + quad * 4) = float4(0);
  for (uint s = 0; s < args.splits; s++) {
    device const float *values_of = first + s * record;
    if (values_of[VALUE_STRIDE] == -INFINITY) continue;
    const float keep = exp(values_of[VALUE_STRIDE] - top);
    total = fma(values_of[VALUE_STRIDE + 1], keep, total);
    for (uint quad = index; quad < VALUE_QUADS; quad += team.threads) {
      threadgroup float4 &sum = *(threadgroup float4 *)(values + quad * 4);
      sum = fma(((device const float4 *)values_of)[quad], float4(keep), sum);
    }
  }
  if (index == 0) factor[0] = normalizer(sinks, row.head, top, total);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  store_rows(values, VALUE_STRIDE, factor, out, args, tile, team);
}

typedef decltype(attention_decode<1, 1>) attention_decode_t;
template [[host_name("attention_decode_1_1")]] kernel attention_decode_t attention_decode<1, 1>;
template [[host_name("attention_decode_4_1")]] kernel attention_decode_t attention_decode<4, 1>;
template [[host_name("attention_decode_8_1")]] kernel attention_decode_t attention_decode<8, 1>;
template [[host_name("attention_decode_1_2")]] kernel attention_decode_t attention_decode<1, 2>;
template [[host_name("attention_decode_4_2")]] kernel attention_decode_t attention_decode<4, 2>;
template [[host_name("attention_decode_8_2")]] kernel attention_decode_t attention_decode<8, 2>;
template [[host_name("attention_decode_1_4")]] kernel attention_decode_t attention_decode<1, 4>;
template [[host_name("attention_decode_4_4")]] kernel attention_decode_t attention_decode<4, 4>;
