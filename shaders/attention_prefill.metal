// Attention of many rows per key head: tiles of rows against tiles of 32 keys, by products of 8x8 matrices in f32.
//
// A threadgroup has 4 simdgroups of 32 lanes and R rows of one key head: 32, 16 or 8 of them for heads up to 128, 256 or 512. Every 8 rows are
// worked on by 32 / R simdgroups, which share the keys of a tile (scores) and the columns of the values. Keys and values come through threadgroup
// memory in chunks of 64 columns as f32, whatever their format: of a key, HEAD_DIM + VALUE_DIM values are read once for R rows. An online softmax goes
// from tile to tile; tiles that no row sees are skipped.
// Threadgroup memory, at most 32 KiB: queries or results (R * 8 * ceil(dim / 8) floats: 16 KiB), a chunk (8.5 KiB), scores (R * 32 floats), tables of
// codes. One launch. C: chunks of 64 values; R * C <= 64, so that results stay in registers.
#include "attention_cache.h"
#include "attention_rows.h"

constexpr constant uint SIMDGROUPS = 4;
constexpr constant uint KEYS = 32;    // of a tile: one per lane
constexpr constant uint COLUMNS = 64;
constexpr constant uint STRIDE = COLUMNS + 4;  // of a chunk; not a multiple of the memory's banks
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

// What values that are not finite add to 8 rows and 8 columns: zero times them would be NaN, so only rows that see them get something.
inline void find_poison(threadgroup float *poison, threadgroup const float *weights, threadgroup const float *values, uint lane) {
  for (uint i = lane; i < 64; i += 32) {
    float sum = -0.0f;  // adds nothing, not even a sign
    for (uint j = 0; j < KEYS; j++) {
      const float weight = weights[i / 8 * KEYS + j], value = values[j * STRIDE + i % 8];
      const bool is_seen = weight != 0 || !signbit(weight);
      if (is_seen && !isfinite(value)) sum = fma(weight, value, sum);
    }
    poison[i] = sum;
  }
}
inline void remove_poison(threadgroup float *chunk, uint columns, Team team) {
  for (uint i = team.index; i < KEYS * columns; i += team.threads) {
    threadgroup float &value = chunk[i / columns * STRIDE + i % columns];
    if (!isfinite(value)) value = 0;
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
  threadgroup float chunk[KEYS * STRIDE], scores[R * KEYS], spread[SIMDGROUPS * 64], tops[R], totals[R];
  threadgroup bool said[SIMDGROUPS];
  const Placing placing = placing_of(q_pos, kv_len, ring_start, slots);
  if (at.x == 0 && at.y == 0 && index == 0) report_place(status, placing, args, at.z);
  const Place place = place_of(placing, args, at.z);
  const Tile tile = tile_of(args, at.z, at.y, at.x * R, R);
  const Team team = team_of(index, SIMDGROUPS * 32);
  Span seen = no_keys();
  for (uint query = tile.first / GROUP; query <= (tile.first + tile.count - 1) / GROUP; query++) seen = hull_of(seen, span_of(place, args, query));
  if (index < R) {
    tops[index] = -INFINITY;
    totals[index] = 0;
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
      for (uint row = simdgroup * OWN; row < (simdgroup + 1) * OWN && row < tile.count; row++) {
        const Row of = row_of(tile, row);
        if (!holds(span_of(place, args, of.query), key + lane)) continue;
        is_seen = is_seen || !is_hidden(mask, place_in_mask(args, tile.b, of) + slot_of(place, args, key + lane) * args.mask_slot);
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

    for (uint row = simdgroup * OWN; row < (simdgroup + 1) * OWN; row++) {
      const Row of = row_of(tile, row);
      float score = -INFINITY;
      if (row < tile.count && holds(span_of(place, args, of.query), key + lane)) {
        const ulong mask_at = place_in_mask(args, tile.b, of) + slot_of(place, args, key + lane) * args.mask_slot;
        score = score_of(scores[row * KEYS + lane], args, mask, mask_at);
      }
      const bool is_seen = score != -INFINITY;
      const float before = tops[row], top = max(before, simd_max(peak_of(score)));
      const float weight = is_seen ? exp(score - top) : 0.0f, total = simd_sum(weight);
      const float keep = top == -INFINITY ? 1.0f : exp(before - top);
      simdgroup_barrier(mem_flags::mem_threadgroup);  // all lanes know what was before
      if (lane == 0) {
        tops[row] = top;
        totals[row] = totals[row] * keep + total;
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
      if (any_says(!finite, said, simdgroup, lane)) {
        threadgroup float *own = spread + simdgroup * 64;
        UNROLL for (uint i = 0; i < C * TILES; i++) {
          const uint column = (i % TILES * SHARERS + share) * 8;
          if (i / TILES != c || c * COLUMNS + column >= VALUE_WIDTH) continue;
          find_poison(own, own_scores, chunk + column, lane);
          simdgroup_barrier(mem_flags::mem_threadgroup);
          simdgroup_float8x8 poison;
          simdgroup_load(poison, own, 8);
          sums[i].thread_elements()[0] += poison.thread_elements()[0];
          sums[i].thread_elements()[1] += poison.thread_elements()[1];
          simdgroup_barrier(mem_flags::mem_threadgroup);
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);
        remove_poison(chunk, min(COLUMNS, VALUE_WIDTH - c * COLUMNS), team);
        threadgroup_barrier(mem_flags::mem_threadgroup);
      }
      UNROLL for (uint i = 0; i < C * TILES; i++) {
        const uint column = (i % TILES * SHARERS + share) * 8;
        if (i / TILES != c || c * COLUMNS + column >= VALUE_WIDTH) continue;
        UNROLL for (uint j = 0; j < 4; j++) {
          simdgroup_float8x8 part;
          simdgroup_load(part, chunk + j * 8 * STRIDE + column, STRIDE);
          simdgroup_multiply_accumulate(sums[i], weights[j], part, sums[i]);
        }
      }
      threadgroup_barrier(mem_flags::mem_threadgroup);
    }
  }

  if (index < tile.count) tops[index] = normalizer(sinks, row_of(tile, index).head, tops[index], totals[index]);
  UNROLL for (uint i = 0; i < C * TILES; i++) {
    const uint column = i / TILES * COLUMNS + (i % TILES * SHARERS + share) * 8;
    if (column < VALUE_WIDTH) simdgroup_store(sums[i], rows + eight * 8 * VALUE_WIDTH + column, VALUE_WIDTH);
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  store_rows(rows, VALUE_WIDTH, tops, out, args, tile, team);
}

typedef decltype(attention_prefill<32, 1>) attention_prefill_t;
template [[host_name("attention_prefill_32_1")]] kernel attention_prefill_t attention_prefill<32, 1>;
template [[host_name("attention_prefill_32_2")]] kernel attention_prefill_t attention_prefill<32, 2>;
template [[host_name("attention_prefill_16_4")]] kernel attention_prefill_t attention_prefill<16, 4>;
template [[host_name("attention_prefill_8_8")]] kernel attention_prefill_t attention_prefill<8, 8>;
