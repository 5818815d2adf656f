#include <metal_stdlib>
using namespace metal;
float f(device const float *p) { return p[0]; }
kernel void k(device float *o [[buffer(0)]], threadgroup float *s [[threadgroup(0)]], uint i [[thread_position_in_grid]]) {
  o[i] = f(s);
}
