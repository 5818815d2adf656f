// Rotary position embedding (Su et al. 2021); x may be the memory of out.
#include "rope.h"

constant uint TYPE [[function_constant(0)]];
constant uint TABLE_TYPE [[function_constant(1)]];
constant bool INTERLEAVED [[function_constant(2)]];
constant uint HEADS_PER_THREAD [[function_constant(3)]];

struct RopeArgs {
  uint heads, dim;
  RopeTable table;  // its rows: as many as x has, or as each sequence has tokens
};

// One pair, or one value that stays, along x, heads along y, rows along z. A thread does the same to several heads, with one look into the table.
kernel void rope(constant RopeArgs &args [[buffer(0)]], device const uchar *x [[buffer(1)]], device const uchar *cosines [[buffer(2)]],
                 device const uchar *sines [[buffer(3)]], device uchar *out [[buffer(4)]], uint3 at [[thread_position_in_grid]]) {
  const uint begin = at.y * HEADS_PER_THREAD, end = min(begin + HEADS_PER_THREAD, args.heads);
  const ulong row = ulong(at.z) * args.heads;
  if (at.x >= args.table.half_dim) {
    for (uint head = begin; head < end; ++head) {
      const ulong place = (row + head) * args.dim + args.table.half_dim + at.x;
      store_float(out, TYPE, place, load_float(x, TYPE, place));
    }
    return;
  }
  const ulong angle = ulong(at.z % args.table.rows) * args.table.half_dim + at.x;
  const float cosine = load_float(cosines, TABLE_TYPE, angle), sine = load_float(sines, TABLE_TYPE, angle);
  const uint2 pair = pair_at(INTERLEAVED, args.table.half_dim, at.x);
  for (uint head = begin; head < end; ++head) {
    const ulong place = (row + head) * args.dim;
    const float2 turned = rotate_pair(load_float(x, TYPE, place + pair.x), load_float(x, TYPE, place + pair.y), cosine, sine);
    store_float(out, TYPE, place + pair.x, turned.x);
    store_float(out, TYPE, place + pair.y, turned.y);
  }
}
