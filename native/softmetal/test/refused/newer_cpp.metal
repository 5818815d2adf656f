#include <metal_stdlib>
using namespace metal;
kernel void k(device float *o [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  if constexpr (sizeof(float) == 4) o[i] = 1;
}
