#include <metal_stdlib>
using namespace metal;
void f(float *p) { p[0] = 1; }
kernel void k(device float *o [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  float a[2];
  f(a);
  o[i] = a[0];
}
