#include <metal_stdlib>
using namespace metal;
kernel int k(device float *o [[buffer(0)]], uint i [[thread_position_in_grid]]) { return 1; }
