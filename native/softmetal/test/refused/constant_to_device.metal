#include <metal_stdlib>
using namespace metal;
void f(device float *p) { p[0] = 1; }
kernel void k(device float *o [[buffer(0)]], constant float *c [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  f(c);
  o[i] = 0;
}
