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

constexpr constant uint BLOCK = 32;       // keys per simdgroup
constexpr constant uint MAX_SIMDGROUPS = 8;
constexpr constant uint RECORD_TAIL = 4;  // floats behind a record's values: the largest score, the sum of weights

constant uint KEY_STRIDE = KEY_QUADS * 4;
constant uint VALUE_STRIDE = VALUE_QUADS * 4;
// Lanes that read one vector of values: a power of two, so that the others read further ones.
constant uint VALUE_LANES = VALUE_QUADS > 16 ? 32 : VALUE_QUADS > 8 ? 16 : VALUE_QUADS > 4 ? 8 : VALUE_QUADS > 2 ? 4 : VALUE_QUADS;

// The keys of a threadgroup's share of those that its rows see: whole blocks for every simdgroup, so that a block ends with its share only where no row
// sees more.
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

// What the rows of a tile see.
template <uint R>
struct Views {
  Span spans[R];
  Span all;
  ulong mask_at[R];
};
template <uint R>
inline Views<R> views_of(Place place, constant AttentionArgs &args, Tile tile) {
  Views<R> v;
  v.all = no_keys();
  UNROLL for (uint r = 0; r < R; r++) v.spans[r] = r < tile.count ? span_of(place, args, row_of(tile, r).query) : no_keys();
  UNROLL for (uint r = 0; r < R; r++) v.all = hull_of(v.all, v.spans[r]);
  UNROLL for (uint r = 0; r < R; r++) v.mask_at[r] = place_in_mask(args, tile.b, row_of(tile, r));
  return v;
}

// Of a simdgroup's rows: largest scores, sums of weights, weighted values.
template <uint R, uint Q>
struct Partial {
  float tops[R], totals[R];
  float4 sums[R][Q];
};
template <uint R, uint Q>
inline Partial<R, Q> nothing_seen() {
  Partial<R, Q> p = {};
  UNROLL for (uint r = 0; r < R; r++) p.tops[r] = -INFINITY;
  return p;
}

// The products of all queries with the 32 keys from `block` on, those before `end`: lane l is left with those of key l. Four lanes take a key together.
template <uint R>
inline void multiply_keys(thread float *products, threadgroup const float *queries, Side keys, uint block, uint end, Place place,
                          constant AttentionArgs &args, uint lane) {
  for (uint i = 0; i < 4; i++) {
    const uint key = block + lane / 4 * 4 + i;
    float part[R] = {};
    if (key < end) {
      const Vector x = vector_in(keys, slot_of(place, args, key));
      for (uint quad = lane % 4; quad < KEY_QUADS; quad += 4) {
        const float4 y = quad_of(keys, x, quad);
        UNROLL for (uint r = 0; r < R; r++) {
          if (r >= ROWS) continue;
          const float4 query = *(threadgroup const float4 *)(queries + r * KEY_STRIDE + quad * 4);
          part[r] = fma(query.x, y.x, fma(query.y, y.y, fma(query.z, y.z, fma(query.w, y.w, part[r]))));
        }
      }
    }
    UNROLL for (uint r = 0; r < R; r++)
      if (r < ROWS) {
        const float product = quad_sum(part[r]);
        if (lane % 4 == i) products[r] = product;
      }
  }
}

// Weights [32, ROWS] out of the lanes' scores, on which all that has been added up before is put.
template <uint R, uint Q>
inline void weigh(thread Partial<R, Q> &p, threadgroup float *weights, thread const float *products, thread const Views<R> &views, uint key,
                  Place place, constant AttentionArgs &args, device const uchar *mask, uint lane) {
  UNROLL for (uint r = 0; r < R; r++) {
    if (r >= ROWS) continue;
    float score = -INFINITY;
    if (holds(views.spans[r], key)) score = score_of(products[r], args, mask, views.mask_at[r] + slot_of(place, args, key) * args.mask_slot);
    const bool is_seen = score != -INFINITY;
    const float top = max(p.tops[r], simd_max(peak_of(score)));
    const float weight = is_seen ? exp(score - top) : 0.0f;
    if (top != -INFINITY) {
      const float keep = exp(p.tops[r] - top);
      p.totals[r] = p.totals[r] * keep + simd_sum(weight);
      UNROLL for (uint i = 0; i < Q; i++) p.sums[r][i] *= keep;
      p.tops[r] = top;
    }
    // Below zero: not seen, and so not even to be multiplied with what may be no number.
    weights[lane * ROWS + r] = is_seen ? weight : -1.0f;
  }
}

// Adds the values of the 32 keys from `block` on, those before `end`, by their weights: VALUE_LANES lanes take a vector together.
template <uint R, uint Q>
inline void add_values(thread Partial<R, Q> &p, threadgroup const float *weights, Side values, uint block, uint end, Place place,
                       constant AttentionArgs &args, uint lane) {
  for (uint j = lane / VALUE_LANES; j < BLOCK && block + j < end; j += 32 / VALUE_LANES) {
    const Vector x = vector_in(values, slot_of(place, args, block + j));
    UNROLL for (uint i = 0; i < Q; i++) {
      const uint quad = i * VALUE_LANES + lane % VALUE_LANES;
      if (quad >= VALUE_QUADS) continue;
      const float4 y = quad_of(values, x, quad);
      UNROLL for (uint r = 0; r < R; r++) {
        if (r >= ROWS) continue;
        const float weight = weights[j * ROWS + r];
        if (!(weight < 0)) p.sums[r][i] = fma(float4(weight), y, p.sums[r][i]);
      }
    }
  }
}

// The largest score and the sum of weights of a row over all simdgroups.
struct Whole {
  float top, total;
};
inline Whole whole_of(threadgroup const float *tops, threadgroup const float *totals, uint row, uint simdgroups) {
  Whole w;
  w.top = -INFINITY;
  w.total = 0;
  for (uint g = 0; g < simdgroups; g++) w.top = max(w.top, tops[g * ROWS + row]);
  for (uint g = 0; g < simdgroups && w.top != -INFINITY; g++) w.total = fma(totals[g * ROWS + row], exp(tops[g * ROWS + row] - w.top), w.total);
  return w;
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
  threadgroup float tops[MAX_SIMDGROUPS * R], totals[MAX_SIMDGROUPS * R], factors[R];
  const Placing placing = placing_of(q_pos, kv_len, ring_start, slots);
  if (at.x == 0 && at.y == 0 && index == 0) report_place(status, placing, args, at.z);
  const Place place = place_of(placing, args, at.z);
  const uint tiles = grid.y / KV_HEADS;
  const Tile tile = tile_of(args, at.z, at.y / tiles, at.y % tiles * ROWS, ROWS);
  const Team team = team_of(index, simdgroups * 32);
  const Views<R> views = views_of<R>(place, args, tile);
  const Span share = share_of(views.all, at.x, args.splits, simdgroups);

  load_centroids(k_centroids, K_CODEC, team);
  load_centroids(v_centroids, V_CODEC, team);
  load_queries(rows, KEY_STRIDE, q, args, tile, team);
  const ulong first = first_vector(args, place.sequence, tile.kv_head);
  const Side keys = side_of(K_TYPE, K_CODEC, HEAD_DIM, K_QUADS, k, k_norms, k_centroids, first);
  const Side values = side_of(V_TYPE, V_CODEC, VALUE_DIM, V_QUADS, v, v_norms, v_centroids, first);
  threadgroup float *weights = all_weights + simdgroup * BLOCK * ROWS;
  Partial<R, Q> p = nothing_seen<R, Q>();
  for (uint block = share.low + simdgroup * BLOCK; block < share.high; block += simdgroups * BLOCK) {
    float products[R];
    multiply_keys<R>(products, rows, keys, block, share.high, place, args, lane);
    weigh(p, weights, products, views, block + lane, place, args, mask, lane);
    simdgroup_barrier(mem_flags::mem_threadgroup);
    add_values(p, weights, values, block, share.high, place, args, lane);
    simdgroup_barrier(mem_flags::mem_threadgroup);
  }

  UNROLL for (uint r = 0; r < R; r++) {
    if (r >= ROWS) continue;
    UNROLL for (uint i = 0; i < Q; i++)
      for (uint step = VALUE_LANES; step < 32; step *= 2) p.sums[r][i] += simd_shuffle_xor(p.sums[r][i], step);
    if (lane == 0) {
      tops[simdgroup * ROWS + r] = p.tops[r];
      totals[simdgroup * ROWS + r] = p.totals[r];
    }
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  // One simdgroup after the other adds its values, where the queries have been.
  for (uint g = 0; g < simdgroups; g++) {
    UNROLL for (uint r = 0; r < R; r++) {
      if (r >= ROWS || g != simdgroup) continue;
      const float top = whole_of(tops, totals, r, simdgroups).top, keep = top == -INFINITY ? 0.0f : exp(p.tops[r] - top);
      UNROLL for (uint i = 0; i < Q; i++) {
        const uint quad = i * VALUE_LANES + lane;
        if (quad >= VALUE_QUADS) continue;
        threadgroup float4 &result = *(threadgroup float4 *)(rows + r * VALUE_STRIDE + quad * 4);
        result = g == 0 ? p.sums[r][i] * keep : result + p.sums[r][i] * keep;
      }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }
  if (SPLIT) {
    for (uint i = index; i < tile.count * VALUE_STRIDE; i += team.threads)
      records[record_at(args, tile.b, row_of(tile, i / VALUE_STRIDE), at.x) + i % VALUE_STRIDE] = rows[i];
    if (index >= tile.count) return;
    const Whole whole = whole_of(tops, totals, index, simdgroups);
    device float *tail = records + record_at(args, tile.b, row_of(tile, index), at.x) + VALUE_STRIDE;
    tail[0] = whole.top;
    tail[1] = whole.total;
    return;
  }
  if (index < tile.count) {
    const Whole whole = whole_of(tops, totals, index, simdgroups);
    factors[index] = normalizer(sinks, row_of(tile, index).head, whole.top, whole.total);
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  store_rows(rows, VALUE_STRIDE, factors, out, args, tile, team);
}

// The records of a row, one for each split of the keys, to its output: a threadgroup for each row, a thread for each quad of values. What a split without
// keys left behind is not read.
kernel void attention_merge(constant AttentionArgs &args [[buffer(0)]],
                            device const float *records [[buffer(1)]],
                            device const uchar *sinks [[buffer(2), function_constant(HAS_SINKS)]],
                            device uchar *out [[buffer(3)]],
                            threadgroup float *values [[threadgroup(0)]],
                            uint3 at [[threadgroup_position_in_grid]],
                            uint index [[thread_index_in_threadgroup]],
                            uint3 threads [[threads_per_threadgroup]]) {
  threadgroup float factor[1];
  const Tile tile = tile_of(args, at.z, at.y, at.x, 1);
  const Team team = team_of(index, threads.x);
  const Row row = row_of(tile, 0);
  device const float *first = records + record_at(args, tile.b, row, 0);
  const uint record = VALUE_STRIDE + RECORD_TAIL;
  float top = -INFINITY, total = 0;
  for (uint s = 0; s < args.splits; s++) top = max(top, first[s * record + VALUE_STRIDE]);
  float4 sum = float4(0);
  for (uint s = 0; s < args.splits; s++) {
    device const float *values_of = first + s * record;
    if (values_of[VALUE_STRIDE] == -INFINITY) continue;
    const float keep = exp(values_of[VALUE_STRIDE] - top);
    total = fma(values_of[VALUE_STRIDE + 1], keep, total);
    if (index < VALUE_QUADS) sum = fma(((device const float4 *)values_of)[index], float4(keep), sum);
  }
  if (index < VALUE_QUADS) ((threadgroup float4 *)values)[index] = sum;
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
