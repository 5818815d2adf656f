// linear with the weights of each token's experts: x [T, k] or [T, K, k], w [E, n, k] in any stored form, experts [T, K], y [T, K, n].
// A place is one (token, choice), 0 to T K - 1: a row of y.
#include "common.h"
#include "epilogue.h"
#include "indices.h"
#include "matvec.h"
#include "tiles.h"

constant uint EXPERT_TYPE [[function_constant(8)]];

struct GroupedArgs {
  uint places, places_per_row;  // how many places share a row of x: K or 1
  uint experts, n, k, slot;
  EPILOGUE_MEMBERS
};

// Few places: each alone, as in linear_rows.
kernel void grouped_rows(constant GroupedArgs &args [[buffer(0)]],
                         device const uchar *x [[buffer(1)]],
                         device const uchar *w [[buffer(2)]],
                         device const uchar *experts [[buffer(3)]],
                         device Status *status [[buffer(4)]],
                         device uchar *y [[buffer(5)]] EPILOGUE_PARAMETERS,
                         uint2 position [[threadgroup_position_in_grid]],
                         uint thread_index [[thread_index_in_threadgroup]],
                         uint group [[simdgroup_index_in_threadgroup]],
                         uint lane [[thread_index_in_simdgroup]]) {
  const uint place = position.y;
  const long expert = load_int(experts, EXPERT_TYPE, place);
  if (!within(expert, args.experts)) {
    if (position.x == 0 && thread_index == 0) report_index(status, args.slot, experts, EXPERT_TYPE, place, args.experts);
    return;
  }
  device const uchar *weights = w + ulong(expert) * args.n * row_bytes(W_TYPE, args.k);
  device const uchar *row = x + place / args.places_per_row * row_bytes(X_TYPE, args.k);
  const OwnProduct own = few_rows(row, 1, weights, args.n, args.k, position.x * MATVEC_SIMDGROUPS + group, lane);
  if (!own.there) return;
  const ulong index = ulong(place) * args.n + own.column;
  store_result(y, Y_TYPE, index, EPILOGUE(args).apply(own.value, index));
}

// Many places: first ordered by expert, those of one expert by place. A simdgroup per expert counts the places of those before it, then
// writes down its own: `order` holds the places of expert e at [begins[e], begins[e + 1]). Reads every index twice per expert, 4 to 8 bytes
// each; no atomics, so that the order is always the same.
struct OrderArgs {
  uint places, experts, slot;
};
kernel void order_places(constant OrderArgs &args [[buffer(0)]],
                         device const uchar *experts [[buffer(1)]],
                         device Status *status [[buffer(2)]],
                         device uint *begins [[buffer(3)]],
                         device uint *order [[buffer(4)]],
                         uint expert [[threadgroup_position_in_grid]],
                         uint lane [[thread_index_in_simdgroup]]) {
  uint before = 0, wrong = args.places;
  for (uint place = lane; place < args.places; place += 32) {
    const long e = load_int(experts, EXPERT_TYPE, place);
    if (!within(e, args.experts)) wrong = min(wrong, place);
    else if (e < long(expert)) before++;
  }
  wrong = simd_min(wrong);
  if (expert == 0 && lane == 0 && wrong < args.places) report_index(status, args.slot, experts, EXPERT_TYPE, wrong, args.experts);
  // The grid has one simdgroup even where there are no experts.
  if (expert >= args.experts) return;
  uint at = simd_sum(before);
  if (lane == 0) begins[expert] = at;
  for (uint base = 0; base < args.places; base += 32) {
    const uint place = base + lane;
    const bool mine = place < args.places && load_int(experts, EXPERT_TYPE, place) == long(expert);
    const uint rank = simd_prefix_exclusive_sum(uint(mine));
    if (mine) order[at + rank] = place;
    at += simd_sum(uint(mine));
  }
  if (lane == 0 && expert + 1 == args.experts) begins[args.experts] = at;
}

// Rows of x for places of one expert, by their order.
struct PlacedRows {
  Rows rows;
  device const uint *order;
  uint count, places_per_row;
  void load(uint row, uint from, uint quads, thread float4 *values) const {
    rows.load(order[min(row, count - 1)] / places_per_row, from, quads, values);
  }
};

// A tile of rows: up to 32 places of one expert, `order` from `first` on.
struct ExpertTile {
  uint expert, first, count;
};
// Tile `index` of all, where every expert has as many as its places need; count 0: there are fewer tiles. Lanes look at 32 experts at once.
inline ExpertTile expert_tile(device const uint *begins, uint experts, uint index, uint lane) {
  ExpertTile tile = {0, 0, 0};
  uint seen = 0;
  for (uint base = 0; base < experts; base += 32) {
    const uint e = base + lane;
    const uint first = e < experts ? begins[e] : 0, count = e < experts ? begins[e + 1] - first : 0;
    const uint tiles = (count + TILE_ROWS - 1) / TILE_ROWS;
    const uint start = seen + simd_prefix_exclusive_sum(tiles);
    const bool mine = index >= start && index < start + tiles;
    const uint skipped = mine ? (index - start) * TILE_ROWS : 0;
    // One lane has it at most.
    tile.expert += simd_sum(mine ? e : 0u);
    tile.first += simd_sum(mine ? first + skipped : 0u);
    tile.count += simd_sum(mine ? min(count - skipped, TILE_ROWS) : 0u);
    seen += simd_sum(tiles);
  }
  return tile;
}

// Tiles as those of linear_tiles. The grid has one of them for every 32 places, and one more per expert, since each may leave one unfilled;
// those that are too many end at once.
kernel void grouped_tiles(constant GroupedArgs &args [[buffer(0)]],
                          device const uchar *x [[buffer(1)]],
                          device const uchar *w [[buffer(2)]],
                          device const uint *begins [[buffer(3)]],
                          device const uint *order [[buffer(4)]],
                          device uchar *y [[buffer(5)]] EPILOGUE_PARAMETERS,
                          uint2 position [[threadgroup_position_in_grid]],
                          uint thread_index [[thread_index_in_threadgroup]],
                          uint group [[simdgroup_index_in_threadgroup]],
                          uint lane [[thread_index_in_simdgroup]]) {
  threadgroup TileMemory memory;
  const ExpertTile tile = expert_tile(begins, args.experts, position.x, lane);
  if (tile.count == 0) return;
  const uint column = position.y * TILE_COLUMNS;
  // x has at most as many rows as there are places, and none is asked for that it does not have.
  const PlacedRows left = {{x, X_TYPE, X_WIDE, args.places, args.k}, order + tile.first, tile.count, args.places_per_row};
  const Weights right = {{w + ulong(tile.expert) * args.n * row_bytes(W_TYPE, args.k), W_TYPE, W_WIDE, args.n, args.k}};
  threadgroup float *results = product_tile(left, right, 0, column, args.k, memory, thread_index, group);
  for (uint i = thread_index; i < TILE_ROWS * TILE_COLUMNS; i += TILE_THREADS) {
    const uint r = i / TILE_COLUMNS, c = column + i % TILE_COLUMNS;
    if (r >= tile.count || c >= args.n) continue;
    const ulong index = ulong(order[tile.first + r]) * args.n + c;
    store_result(y, Y_TYPE, index, EPILOGUE(args).apply(results[i], index));
  }
}
