// Attention of many rows per key head: tiles of rows against tiles of 32 keys, by products of 8x8 matrices in f32.
//
// A threadgroup has 4 simdgroups and R rows of one key head: 32, 16 or 8 of them for heads up to 128, 256 or 512. Every 8 rows are worked on by 32 / R
// simdgroups, which share the keys of a tile (scores) and the columns of the values. Keys and values come through threadgroup memory in chunks of 64
// columns as f32, whatever their format: each is read once for R rows. An online softmax goes from tile to tile; tiles that no row sees are skipped.
// Threadgroup memory, at most 32 KiB: queries or results (R * 8 * ceil(dim / 8) floats: 16 KiB), a chunk (8.5 KiB), scores (R * 32 floats), tables of codes.
// One launch. C: chunks of 64 values; R * C <= 64, so that results stay in registers.
#include "attention_cache.h"
#include "attention_rows.h"

constant uint SIMDGROUPS = 4;
constant uint KEYS = 32;    // of a tile: one per lane
constant uint COLUMNS = 64;
constant uint STRIDE = COLUMNS + 4;  // of a chunk; not a multiple of the memory's banks
constant uint KEY_WIDTH = (HEAD_DIM + 7) / 8 * 8;
constant uint VALUE_WIDTH = (VALUE_DIM + 7) / 8 * 8;
constant uint KEY_CHUNKS = (HEAD_DIM + COLUMNS - 1) / COLUMNS;

// Columns [64 * chunk, 64 * chunk + 64) of 32 keys or values from `key` on; zeros where a vector ends, and for those that no row sees: these are not
// read. Whether all of the thread's are finite.
inline bool load_chunk(threadgroup float *to, Side side, uint width, uint chunk, uint key, Span seen, Place place, constant AttentionArgs &args,
                       Team team) {
  const uint first = chunk * COLUMNS / 4, quads = min(COLUMNS, width - chunk * COLUMNS) / 4;
  bool finite = true;
  for (uint i = team.index; i < KEYS * quads; i += team.threads) {
    const uint row = i / quads, quad = i % quads;
    float4 x = float4(0);
    if (holds(seen, key + row) && (first + quad) * 4 < side.dim) x = quad_of(side, vector_in(side, slot_of(place, args, key + row)), first + quad);
    finite = finite && all(isfinite(x));
    *(threadgroup float4 *)(to + row * STRIDE + quad * 4) = x;
  }
  return finite;
}

// Whether one of the threads says so; `said` has been read before a barrier.
inline bool any_says(bool it, threadgroup bool *said, uint simdgroup, uint lane) {
  it = simd_any(it);
  if (lane == 0) said[simdgroup] = it;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  return said[0] || said[1] || said[2] || said[3];
}

inline bool is_hidden(device const uchar *mask, ulong at) { return KEEP ? mask[at] == 0 : load_float(mask, MASK_TYPE, at) == -INFINITY; }

// 8 rows of weights times 8 columns of 32 values, element by element: zero times what is no number would be none, so only what a row sees is multiplied.
inline void multiply_seen(threadgroup float *product, threadgroup const float *weights, threadgroup const float *values, uint lane) {
  for (uint i = lane; i < 64; i += 32) {
    float sum = 0;
    for (uint j = 0; j < KEYS; j++) {
      const float weight = weights[i / 8 * KEYS + j];
      if (!(weight == 0 && signbit(weight))) sum = fma(weight, values[j * STRIDE + i % 8], sum);
    }
    product[i] = sum;
  }
}

template <uint R, uint C>
kernel void attention_prefill(ATTENTION_OPERANDS,
                              device uchar *out [[buffer(12)]],
                              device Status *status [[buffer(13)]],
                              threadgroup float *rows [[threadgroup(0)]],
                              threadgroup float *k_centroids [[threadgroup(1)]],
                              threadgroup float *v_centroids [[threadgroup(2)]],
                              uint3 at [[threadgroup_position_in_grid]],
                              uint index [[thread_index_in_threadgroup]],
                              uint lane [[thread_index_in_simdgroup]],
                              uint simdgroup [[simdgroup_index_in_threadgroup]]) {
  constexpr uint SHARERS = 32 / R;         // simdgroups with the same 8 rows
  constexpr uint KEY_TILES = 4 / SHARERS;  // of 8 keys, for each of them
  constexpr uint TILES = 8 / SHARERS;      // of 8 columns in a chunk, for each of them
  constexpr uint OWN = R / SIMDGROUPS;     // rows whose softmax a simdgroup does
  threadgroup float chunk[KEYS * STRIDE], scores[R * KEYS], spread[SIMDGROUPS * 64], factors[R];
  threadgroup bool said[SIMDGROUPS];
  const Placing placing = placing_of(q_pos, kv_len, ring_start, slots);
  if (at.x == 0 && at.y == 0 && index == 0) report_place(status, placing, args, at.z);
  const Place place = place_of(placing, args, at.z);
  const Tile tile = tile_of(args, at.z, at.y, at.x * R, R);
  const Team team = team_of(index, SIMDGROUPS * 32);
  Span seen = no_keys();
  for (uint query = tile.first / GROUP; query <= (tile.first + tile.count - 1) / GROUP; query++) seen = hull_of(seen, span_of(place, args, query));
  Span spans[OWN];
  float tops[OWN], totals[OWN];
  UNROLL for (uint i = 0; i < OWN; i++) {
    const uint row = simdgroup * OWN + i;
    spans[i] = row < tile.count ? span_of(place, args, row_of(tile, row).query) : no_keys();
    tops[i] = -INFINITY;
    totals[i] = 0;
  }

  load_centroids(k_centroids, K_CODEC, team);
  load_centroids(v_centroids, V_CODEC, team);
  load_queries(rows, KEY_WIDTH, q, args, tile, team);
  const ulong first = first_vector(args, place.sequence, tile.kv_head);
  const Side keys = side_of(K_TYPE, K_CODEC, HEAD_DIM, K_QUADS, k, k_norms, k_centroids, first);
  const Side values = side_of(V_TYPE, V_CODEC, VALUE_DIM, V_QUADS, v, v_norms, v_centroids, first);
  const uint eight = simdgroup / SHARERS, share = simdgroup % SHARERS;  // of the rows; of the work on them
  threadgroup float *own_scores = scores + eight * 8 * KEYS;
  simdgroup_float8x8 sums[C * TILES];
  UNROLL for (uint i = 0; i < C * TILES; i++) sums[i] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);

  for (uint key = seen.low; key < seen.high; key += KEYS) {
    if (HAS_MASK) {
      bool is_seen = false;
      UNROLL for (uint i = 0; i < OWN; i++) {
        if (!holds(spans[i], key + lane)) continue;
        const ulong mask_at = place_in_mask(args, tile.b, row_of(tile, simdgroup * OWN + i)) + slot_of(place, args, key + lane) * args.mask_slot;
        is_seen = is_seen || !is_hidden(mask, mask_at);
      }
      is_seen = any_says(is_seen, said, simdgroup, lane);
      threadgroup_barrier(mem_flags::mem_threadgroup);
      if (!is_seen) continue;
    }

    simdgroup_float8x8 products[KEY_TILES];
    UNROLL for (uint t = 0; t < KEY_TILES; t++) products[t] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
    for (uint c = 0; c < KEY_CHUNKS; c++) {
      load_chunk(chunk, keys, KEY_WIDTH, c, key, seen, place, args, team);
      threadgroup_barrier(mem_flags::mem_threadgroup);
      for (uint d = 0; d < COLUMNS && c * COLUMNS + d < KEY_WIDTH; d += 8) {
        simdgroup_float8x8 queries, transposed;
        simdgroup_load(queries, rows + eight * 8 * KEY_WIDTH + c * COLUMNS + d, KEY_WIDTH);
        UNROLL for (uint t = 0; t < KEY_TILES; t++) {
          simdgroup_load(transposed, chunk + (t * SHARERS + share) * 8 * STRIDE + d, STRIDE, ulong2(0), true);
          simdgroup_multiply_accumulate(products[t], queries, transposed, products[t]);
        }
      }
      threadgroup_barrier(mem_flags::mem_threadgroup);
    }
    UNROLL for (uint t = 0; t < KEY_TILES; t++) simdgroup_store(products[t], own_scores + (t * SHARERS + share) * 8, KEYS);
    threadgroup_barrier(mem_flags::mem_threadgroup);

    UNROLL for (uint i = 0; i < OWN; i++) {
      const uint row = simdgroup * OWN + i;
      float score = -INFINITY;
      if (holds(spans[i], key + lane)) {
        const ulong mask_at = place_in_mask(args, tile.b, row_of(tile, row)) + slot_of(place, args, key + lane) * args.mask_slot;
        score = score_of(scores[row * KEYS + lane], args, mask, mask_at);
      }
      const bool is_seen = score != -INFINITY;
      const float top = max(tops[i], simd_max(peak_of(score)));
      const float weight = is_seen ? exp(score - top) : 0.0f;
      float keep = 1;
      if (top != -INFINITY) {
        keep = exp(tops[i] - top);
        totals[i] = totals[i] * keep + simd_sum(weight);
        tops[i] = top;
      }
      // Minus zero: not seen.
      scores[row * KEYS + lane] = is_seen ? weight : -0.0f;
      if (lane < 8) spread[row * 8 + lane] = keep;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);

    simdgroup_float8x8 keeps, weights[4];
    simdgroup_load(keeps, spread + eight * 64, 8);
    UNROLL for (uint j = 0; j < 4; j++) simdgroup_load(weights[j], own_scores + j * 8, KEYS);
    UNROLL for (uint i = 0; i < C * TILES; i++) {
      sums[i].thread_elements()[0] *= keeps.thread_elements()[0];
      sums[i].thread_elements()[1] *= keeps.thread_elements()[1];
    }
    for (uint c = 0; c * COLUMNS < VALUE_WIDTH; c++) {
      const bool finite = load_chunk(chunk, values, VALUE_WIDTH, c, key, seen, place, args, team);
      const bool is_clean = !any_says(!finite, said, simdgroup, lane);
      UNROLL for (uint i = 0; i < C * TILES; i++) {
        const uint column = (i % TILES * SHARERS + share) * 8;
        if (i / TILES != c || c * COLUMNS + column >= VALUE_WIDTH) continue;
        simdgroup_float8x8 part;
        if (is_clean) {
          UNROLL for (uint j = 0; j < 4; j++) {
            simdgroup_load(part, chunk + j * 8 * STRIDE + column, STRIDE);
            simdgroup_multiply_accumulate(sums[i], weights[j], part, sums[i]);
          }
          continue;
        }
        threadgroup float *own = spread + simdgroup * 64;
        multiply_seen(own, own_scores, chunk + column, lane);
        simdgroup_barrier(mem_flags::mem_threadgroup);
        simdgroup_load(part, own, 8);
        sums[i].thread_elements()[0] += part.thread_elements()[0];
        sums[i].thread_elements()[1] += part.thread_elements()[1];
        simdgroup_barrier(mem_flags::mem_threadgroup);
      }
      threadgroup_barrier(mem_flags::mem_threadgroup);
    }
  }

  UNROLL for (uint i = 0; i < OWN; i++) {
    const uint row = simdgroup * OWN + i;
    if (lane == 0 && row < tile.count) factors[row] = normalizer(sinks, row_of(tile, row).head, tops[i], totals[i]);
  }
  UNROLL for (uint i = 0; i < C * TILES; i++) {
    const uint column = i / TILES * COLUMNS + (i % TILES * SHARERS + share) * 8;
    if (column < VALUE_WIDTH) simdgroup_store(sums[i], rows + eight * 8 * VALUE_WIDTH + column, VALUE_WIDTH);
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  store_rows(rows, VALUE_WIDTH, factors, out, args, tile, team);
}

typedef decltype(attention_prefill<32, 1>) attention_prefill_t;
template [[host_name("attention_prefill_32_1")]] kernel attention_prefill_t attention_prefill<32, 1>;
template [[host_name("attention_prefill_32_2")]] kernel attention_prefill_t attention_prefill<32, 2>;
template [[host_name("attention_prefill_16_4")]] kernel attention_prefill_t attention_prefill<16, 4>;
template [[host_name("attention_prefill_8_8")]] kernel attention_prefill_t attention_prefill<8, 8>;
