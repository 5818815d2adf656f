#include <metal_stdlib>
using namespace metal;
kernel void k(device float *o [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  o[i] = fabsf(o[i]) + expf(1.0f);
}
