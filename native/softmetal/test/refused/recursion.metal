#include <metal_stdlib>
using namespace metal;
float f(float x, int n) { return n ? f(x, n - 1) * x : 1; }
kernel void k(device float *o [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  o[i] = f(o[i], 3);
}
