#include <metal_stdlib>
using namespace metal;
kernel void k(device float *o [[buffer(0)]], uint i) {
  o[i] = 1;
}
