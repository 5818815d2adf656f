// The index along an axis.
#include "numbers.h"

constant uint OUT_TYPE [[function_constant(0)]];

// out [outer, length, inner]
struct IotaArgs {
  uint length, inner;
};
kernel void iota(constant IotaArgs &args [[buffer(0)]], device uchar *out [[buffer(1)]], uint3 at [[thread_position_in_grid]]) {
  const ulong place = (ulong(at.z) * args.length + at.y) * args.inner + at.x;
  if (is_float(OUT_TYPE)) store_float(out, OUT_TYPE, place, float(at.y));
  else store_int(out, OUT_TYPE, place, at.y);
}
