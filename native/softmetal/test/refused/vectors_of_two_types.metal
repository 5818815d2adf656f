#include <metal_stdlib>
using namespace metal;
kernel void k(device float4 *o [[buffer(0)]], device half4 *h [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  o[i] = o[i] * h[i];
}
