#include <metal_stdlib>
using namespace metal;
struct P {
  uint n;
};
kernel void k(device float *o [[buffer(0)]], constant P &p [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  p.n = 3;
  o[i] = 0;
}
